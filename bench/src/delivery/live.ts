import { createDatabase, type PostgresServer } from '@waybill/testing';
import pg from 'pg';
import { cpuMsOf, cpuMsOfProcess } from '../relay/server-cost.js';
import { type PeerName, PEERS } from './client.js';
import { inProcesses } from './client-process.js';
import { EFFECTS } from './peer.js';

/** Messages of a round, from transaction to effect, and as many before them to warm up. */
export const LIVE = 10_000;
/** What a round measures. */
export interface Round {
  readonly perSecond: number;
  readonly cpu: number;
  readonly rssMb: number;
}

/** What is written about a round besides its figures. */
export interface Profiled {
  /** Where CPU profiles go: the names of the files begin so. */
  readonly file: string;
  begin(url: string): Promise<void>;
  end(url: string): Promise<void>;
}

/** Work in a fresh database that is prepared for a system. */
export async function inDatabase<T>(
  server: PostgresServer,
  peer: PeerName,
  work: (url: string) => Promise<T>,
): Promise<T> {
  const database = await createDatabase(server, 'bench');
  try {
    const url = database.connectionString;
    await execute(url, `${EFFECTS}; create table business (n bigint not null)`);
    await PEERS[peer].prepare(url);
    return await work(url);
  } finally {
    await database.drop();
  }
}

/**
 * From the first transaction to the last effect.
 * @param profiled what is asked of the server at the end, and where CPU profiles go
 */
export function measureLive(server: PostgresServer, peer: PeerName, profiled?: Profiled): Promise<Round> {
  return inDatabase(server, peer, (url) =>
    inProcesses(async (producer, consumer) => {
      await consumer.tell({ kind: 'open', role: 'consumer', peer, url, work: 'insert' });
      await producer.tell({ kind: 'open', role: 'producer', peer, url, work: 'insert' });
      const pids = [producer.pid, consumer.pid];
      const run = async (messages: number): Promise<void> => {
        const all = consumer.tell({ kind: 'expect', messages });
        await producer.tell({ kind: 'produce', messages, perSecond: 0 });
        await all;
      };
      await run(LIVE);
      await profiled?.begin(url);
      const cpuBefore = cpuOf(server, pids);
      const startedAt = performance.now();
      await run(LIVE);
      await waitForEffects(url, 2 * LIVE);
      const seconds = (performance.now() - startedAt) / 1_000;
      const cpu = (cpuOf(server, pids) - cpuBefore) / (LIVE / 1_000);
      await profiled?.end(url);
      return { perSecond: LIVE / seconds, cpu, rssMb: 0 };
    }, profiled?.file),
  );
}

/** CPU time of the server and of processes, in milliseconds. */
export function cpuOf(server: PostgresServer, pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMsOfProcess(pid), cpuMsOf([server.pid]));
}

/** The last handler has run; its transaction may not have been committed yet. */
async function waitForEffects(url: string, count: number): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (;;) {
      const { rows } = await client.query<{ n: number; all: number }>(
        'select count(distinct n)::integer as n, count(*)::integer as "all" from effect',
      );
      const { n = 0, all = 0 } = rows[0] ?? {};
      if (all > count || (all === count && n !== LIVE)) throw new Error(`${all} effects of ${n} messages`);
      if (all === count) return;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  } finally {
    await client.end();
  }
}

/** Runs statements on a connection of their own. */
export async function execute(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(text).finally(() => client.end());
}
