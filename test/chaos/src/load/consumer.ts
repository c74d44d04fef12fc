import { setTimeout as sleep } from 'node:timers/promises';
import {
  BatchFailure,
  type BatchHandler,
  Consumer,
  deadLetter,
  type Delivery,
  ProgressRetention,
  resolveBatchSubscription,
  resolveSubscription,
} from '@waybill/consumer';
import { Bell, PgTransactionRunner } from '@waybill/kernel';
import { Relay } from '@waybill/outbox';
import type { PoolClient } from 'pg';
import { openProgram, type ProgramSettings, RELAY, settingsOf } from './program.js';
import { HALF_TOPIC, LATER_TOPIC, TOPIC } from './topic.js';

interface ConsumerSettings extends ProgramSettings {
  readonly group: string;
  readonly concurrency: 'key' | 'partition';
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** Whether it also handles what is due later, and half messages. */
  readonly handlesOthers: boolean;
  /** Whether it also moves messages to the log, so that its group reads some of them from its memory. */
  readonly relays: boolean;
}

/** Some messages fail at their first attempts, some are slow, some try to end the transaction that they are lent, some are refused. */
const FAILS_EVERY = 41;
const SLOW_EVERY = 89;
const ENDS_EVERY = 211;
const REFUSED_EVERY = 307;
const SLOW_MS = 150;

type Order = { readonly n: number };

const settings = settingsOf<ConsumerSettings>();
let consumer: Consumer | undefined;
let relay: Relay | undefined;
let deliveries = 0;
let retention: ProgressRetention | undefined;
/** The rings turn in seconds here. */
const INTERVAL_MS = 200;
const { database, log, logger, history } = openProgram(settings, async () => {
  await retention?.service.stop();
  await consumer?.stop();
  await relay?.service.stop();
});

async function handle(delivery: Delivery): Promise<void> {
  const { partition, offset, attempt } = delivery;
  const { n } = delivery.payload as Order;
  const transaction = delivery.transaction as PoolClient;
  deliveries += 1;
  const id = `${settings.name}/${deliveries}`;
  const operation = {
    f: 'handle',
    group: settings.group,
    n,
    partition,
    offset,
    attempt,
    delivery: id,
  } as const;
  history.write({ ...operation, type: 'invoke' });
  try {
    await transaction.query(
      'insert into ledger (consumer, n, partition, log_offset, attempt, delivery) values ($1, $2, $3, $4, $5, $6)',
      [settings.group, n, partition, offset, attempt, id],
    );
    if (n % REFUSED_EVERY === 0) throw deadLetter('refused on purpose');
    if (n % SLOW_EVERY === 0) await sleep(SLOW_MS);
    if (n % FAILS_EVERY === 0 && attempt <= 1 + (n % 2)) throw new Error(`attempt ${attempt} of ${n} fails`);
    // Refused by the handle that it is lent; if it were not, the ledger would show it.
    if (n % ENDS_EVERY === 0 && attempt <= 2) await transaction.query('commit').catch(() => {});
  } catch (error) {
    history.write({ ...operation, type: 'fail' });
    throw error;
  }
}

/** The members of one group handle batches. */
const MOST_TOGETHER = 50;
const handleBatch: BatchHandler = async (deliveries) => {
  for (const [index, delivery] of deliveries.entries())
    await handle(delivery).catch((error: unknown) => {
      throw new BatchFailure(index, error);
    });
};

/** Handles a half message. */
async function handleHalf({ payload, transaction }: Delivery): Promise<void> {
  await (transaction as PoolClient).query('insert into half_ledger (n) values ($1)', [(payload as Order).n]);
}

/** Handles a message that was due later. */
async function handleLater({ payload, transaction }: Delivery): Promise<void> {
  await (transaction as PoolClient).query('insert into later_ledger (n) values ($1)', [(payload as Order).n]);
}

const { group, concurrency, leaseMs, heartbeatMs } = settings;
const retry = { immediateAttempts: 1, delayMs: 50, maxDelayMs: 200, maxAttempts: 20 };
consumer = new Consumer(
  {
    group,
    subscriptions: [
      ...(settings.handlesOthers
        ? [resolveSubscription(LATER_TOPIC, handleLater), resolveSubscription(HALF_TOPIC, handleHalf)]
        : []),
      concurrency === 'key'
        ? resolveSubscription(TOPIC, handle, { concurrency, retry, maxProcessingMs: 4_000 })
        : resolveBatchSubscription(TOPIC, handleBatch, {
            concurrency,
            retry,
            maxProcessingMs: 4_000,
            batch: { max: MOST_TOGETHER },
          }),
    ],
    database,
    transactions: new PgTransactionRunner(database),
    log,
    logger,
  },
  // Processes are killed all the time here, and no message is to blame for it.
  { leaseMs, heartbeatMs, maxCrashes: 100, drainMs: 5_000 },
);
await consumer.start();
if (settings.relays) {
  relay = new Relay({ database, log, bell: new Bell(), logger }, RELAY);
  relay.service.start();
}
// The other service has no relay, whose process turns the rings.
if (settings.service !== undefined) {
  retention = new ProgressRetention(database, { intervalMs: INTERVAL_MS }, logger);
  retention.service.start();
}
console.log('ready');
