import { setTimeout as sleep } from 'node:timers/promises';
import { HalfMessageChecker, HalfMessages, LocalDatabases } from '@waybill/half-message';
import { PgDatabase, PgTransactionRunner } from '@waybill/kernel';
import { Outbox } from '@waybill/outbox';
import type { PoolClient } from 'pg';
import { databaseUrl, openProgram, type ProgramSettings, settingsOf } from './program.js';
import { seededRandom } from './random.js';
import { HALF_TOPIC } from './topic.js';

interface HalfSettings extends ProgramSettings {
  /** Name of the database of the local work, on the same server. */
  readonly local: string;
  readonly first: number;
  readonly perSecond: number;
}

/** Some local work fails by itself: then the half is rolled back. */
const FAILING_SHARE = 0.1;
/** Some work is so slow that check-back finds it under way. */
const SLOW_SHARE = 0.03;
const SLOW_MS = 1_500;
/** Some producers never tell how their work has ended, some begin it when check-back has given it up. */
const SILENT_SHARE = 0.06;
const LATE_SHARE = 0.06;
const LATE_MS = 2_500;
const TIME_LIMIT_MS = 10_000;
const TIMES = { checkImmunityMs: 1_000, checkIntervalMs: 500, checkMax: 100 };
const CHECKING = { checkTimeoutMs: 1_000, retryMs: 100, retryMaxMs: 1_000, pollMs: 100 };

const settings = settingsOf<HalfSettings>();
const random = seededRandom(settings.seed);
let stopping = false;
let working: Promise<void> | undefined;
let checker: HalfMessageChecker | undefined;
const localUrl = databaseUrl(settings.url, settings.local);
const local = new PgDatabase({ connectionString: localUrl, connectionsMax: 4 });
const asking = new PgDatabase({ connectionString: localUrl, connectionsMax: 2 });
const { database, log, logger, history } = openProgram(settings, async () => {
  stopping = true;
  await working;
  await checker?.stop();
  await Promise.all([local.close(), asking.close()]);
});
const outbox = new Outbox();
const localTransactions = new PgTransactionRunner(local);
const databases = new LocalDatabases([
  { name: 'local', transactions: localTransactions, session: asking.session },
]);
const halves = new HalfMessages(
  {
    database,
    log,
    group: 'chaos-halves',
    encode: (message) => outbox.encode(message),
    databases,
    logger,
  },
  TIMES,
);
checker = new HalfMessageChecker(
  { database, store: halves.store, group: 'chaos-halves', checks: new Map(), databases, logger },
  CHECKING,
);
checker.start();

/** Local work with a half message around it: the message is delivered if and only if the work is committed. */
async function one(n: number): Promise<void> {
  const fails = random() < FAILING_SHARE;
  const operation = { f: 'half', n, outcome: fails ? 'rollback' : 'commit' } as const;
  history.write({ ...operation, type: 'invoke' });
  const work = async (tx: unknown): Promise<void> => {
    await (tx as PoolClient).query('insert into half_done (n) values ($1)', [n]);
    if (random() < SLOW_SHARE) await sleep(SLOW_MS);
    if (fails) throw new Error('no cover');
  };
  await halves.executeWithBarrier({ topic: HALF_TOPIC, payload: { n } }, 'local', work).then(
    () => history.write({ ...operation, type: 'ok' }),
    () =>
      history.write({ ...operation, outcome: fails ? 'rollback' : 'unknown', type: fails ? 'fail' : 'info' }),
  );
}

/** Local work whose producer is silent about it: check-back decides, by the barrier. */
async function inSilence(n: number, pauseMs: number): Promise<void> {
  const operation = { f: 'half', n, outcome: 'unknown' } as const;
  history.write({ ...operation, type: 'invoke' });
  try {
    const half = await halves.prepare({ topic: HALF_TOPIC, payload: { n } }, { barrier: 'local' });
    await sleep(pauseMs);
    await localTransactions.run({
      work: async ({ handle }) => {
        await halves.pass(handle, half, 'local');
        await handle.query('insert into half_done (n) values ($1)', [n]);
      },
      timeoutMs: TIME_LIMIT_MS,
    });
  } catch {
    // The barrier refuses work that comes too late.
  }
  history.write({ ...operation, type: 'info' });
}

async function produce(): Promise<void> {
  const late = new Set<Promise<void>>();
  for (let n = settings.first; !stopping; n += 1) {
    const share = random();
    if (share < LATE_SHARE) {
      const begun = inSilence(n, LATE_MS).finally(() => late.delete(begun));
      late.add(begun);
    } else await (share < LATE_SHARE + SILENT_SHARE ? inSilence(n, 0) : one(n));
    await sleep(1_000 / settings.perSecond);
  }
  await Promise.all(late);
}

// The runner ends the load; check-back continues.
process.on('SIGHUP', () => {
  stopping = true;
});
console.log('ready');
working = produce();
await working;
