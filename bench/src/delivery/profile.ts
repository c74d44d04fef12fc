import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensurePostgres, TestingError } from '@waybill/testing';
import pg from 'pg';
import type { Report } from '../main.js';
import type { PeerName } from './client.js';
import { execute, LIVE, measureLive } from './live.js';

const RESET = 'create extension if not exists pg_stat_statements; select pg_stat_statements_reset()';
const STATEMENTS = `
  select calls, total_exec_time as ms, total_plan_time as "planMs", wal_bytes::bigint as wal, query
    from pg_stat_statements s join pg_database d on d.oid = s.dbid
   where d.datname = current_database() and query !~ 'pg_stat_statements'
   order by total_exec_time + total_plan_time desc`;

/**
 * One round of each system, from transaction to effect, with CPU profiles of both processes, and the statements of a message
 * where the server has pg_stat_statements. What it measures is slower than without.
 */
export async function profileDelivery(
  directory: string,
  peers: readonly PeerName[],
  report: Report,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  const server = await serverWithStatements(report);
  try {
    for (const peer of peers) {
      const file = join(directory, peer);
      await measureLive(server, peer, {
        file,
        begin: (url) => execute(url, RESET).catch(() => {}),
        end: (url) => writeStatements(url, `${file}-statements.txt`, report),
      });
      report(`${peer}: wrote ${file}-producer.cpuprofile and ${file}-consumer.cpuprofile`);
    }
  } finally {
    await server.stop();
  }
}

/** The server with statistics of statements; without them where its build lacks the extension, or it is not ours. */
async function serverWithStatements(report: Report): ReturnType<typeof ensurePostgres> {
  const settings = {
    shared_preload_libraries: 'pg_stat_statements',
    'pg_stat_statements.track_planning': 'on',
  };
  try {
    return await ensurePostgres({ settings });
  } catch (error) {
    if (!(error instanceof TestingError)) throw error;
    report('this server has no pg_stat_statements');
    return ensurePostgres();
  }
}

async function writeStatements(url: string, file: string, report: Report): Promise<void> {
  interface Row {
    readonly calls: number;
    readonly ms: number;
    readonly planMs: number;
    readonly wal: number;
    readonly query: string;
  }
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<Row>(STATEMENTS);
    const lines = rows.map(({ calls, ms, planMs, wal, query }) => {
      const perThousand = [Number(calls), ms, planMs, Number(wal)].map((sum) => sum / (LIVE / 1_000));
      const figures = perThousand.map((figure) => figure.toFixed(1).padStart(10)).join(' ');
      return `${figures}  ${query.replaceAll(/\s+/g, ' ').slice(0, 300)}`;
    });
    const head = ['calls', 'ms', 'plan ms', 'WAL bytes'].map((title) => title.padStart(10)).join(' ');
    await writeFile(file, `For 1,000 messages:\n${head}\n${lines.join('\n')}\n`);
    report(`wrote ${file}`);
  } catch (error) {
    report(`no statistics of statements: ${String(error)}`);
  } finally {
    await client.end();
  }
}
