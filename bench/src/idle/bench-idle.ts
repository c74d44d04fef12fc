import { resolveSubscription } from '@waybill/consumer';
import { silentLogger } from '@waybill/kernel';
import { Waybill } from '@waybill/nestjs';
import { migrate } from '@waybill/schema';
import { createDatabase, ensurePostgres } from '@waybill/testing';
import pg from 'pg';
import type { Report } from '../main.js';

/** After a minute without work, loops rest longer; their waits grow to that within ten seconds. In milliseconds. */
const SETTLE_MS = 75_000;
/** How long statements are counted, in milliseconds. */
const COUNT_MS = 30_000;

/** Results of `npm run bench -- idle`: statements a second of a process without work, after a minute. */
export interface IdleFigures {
  /** A process that relays, fires timers, checks half messages, and does its part in sagas. */
  readonly statementsPerSecond: number;
  /** The same process with a consumer group. */
  readonly withGroupPerSecond: number;
}

/** Counts the statements that a process sends while nothing happens. */
export async function benchIdle(report: Report): Promise<IdleFigures> {
  const server = await ensurePostgres();
  try {
    const database = await createDatabase(server, 'bench');
    const { connectionString } = database;
    await migrate({ connectionString });
    const statementsPerSecond = await count(connectionString, false, report);
    const withGroupPerSecond = await count(connectionString, true, report);
    await database.drop();
    return { statementsPerSecond, withGroupPerSecond };
  } finally {
    await server.stop();
  }
}

async function count(connectionString: string, isConsuming: boolean, report: Report): Promise<number> {
  const waybill = new Waybill('bench', {
    database: { connectionString },
    topics: { orders: { partitions: 4 } },
    group: 'bench',
    logger: silentLogger,
  });
  await waybill.start();
  const subscriptions = [resolveSubscription('orders', () => Promise.resolve())];
  if (isConsuming) await waybill.consume({ subscriptions });
  await pause(SETTLE_MS);
  const statements = countStatements();
  await pause(COUNT_MS);
  const counted = statements.stop();
  await waybill.stop();
  const perSecond = [...counted.values()].reduce((sum, sent) => sum + sent, 0) / (COUNT_MS / 1_000);
  report(`${isConsuming ? 'with a consumer group' : 'without a consumer'}: ${perSecond.toFixed(1)} a second`);
  for (const [text, sent] of [...counted].toSorted(([, one], [, other]) => other - one))
    report(`  ${(sent / (COUNT_MS / 1_000)).toFixed(2)}  ${text}`);
  return Number(perSecond.toFixed(1));
}

/** Counts the statements of all connections of this process from now on. */
function countStatements(): { stop(): ReadonlyMap<string, number> } {
  const { prototype } = pg.Client as unknown as { prototype: { query(...args: unknown[]): unknown } };
  const counted = new Map<string, number>();
  const query = prototype.query;
  prototype.query = function (this: unknown, ...args: unknown[]): unknown {
    for (const text of textsOf(args[0])) counted.set(text, (counted.get(text) ?? 0) + 1);
    return query.apply(this, args);
  };
  return {
    stop: () => {
      prototype.query = query;
      return counted;
    },
  };
}

function textsOf(query: unknown): string[] {
  const { statements, text } = query as { statements?: readonly { text: string }[]; text?: string };
  const texts =
    typeof query === 'string' ? [query] : (statements?.map((each) => each.text) ?? [text ?? 'COPY']);
  return texts.map((each) => each.replaceAll(/\s+/g, ' ').slice(0, 100));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
