import { setTimeout as sleep } from 'node:timers/promises';
import { Outbox } from '@waybill/outbox';
import type { Client, PoolClient } from 'pg';
import type { PublishedMessage } from '../history/operation.js';
import { openProgram, type ProgramSettings, settingsOf } from './program.js';
import { LATER_TOPIC, TOPIC } from './topic.js';
import { seededRandom } from './random.js';

interface ProducerSettings extends ProgramSettings {
  /** Number of its first message; its messages count up from there. */
  readonly first: number;
  readonly perSecond: number;
  readonly keys: number;
}

const ignore = (): void => {};

const WRITERS = 6;
const ROLLBACK_SHARE = 0.05;
const SAVEPOINT_SHARE = 0.1;
/** A writer pauses under its row locks for up to this, in milliseconds, in some transactions: others of its keys queue up. */
const HOLD_MS = 20;
const HOLD_SHARE = 0.15;
/** Some transactions also schedule a message, due up to this many milliseconds later. */
const LATER_SHARE = 0.15;
const LATER_MS = 4_000;
/** A connection that goes silent is given up by both sides: by the server, whose locks others wait for, and by the producer. */
const SERVER_LIMIT = "set local idle_in_transaction_session_timeout = '5s'";
const LIMIT_MS = 10_000;

const settings = settingsOf<ProducerSettings>();
const random = seededRandom(settings.seed);
const outbox = new Outbox();
let stopping = false;
let next = settings.first;
const writers: Promise<void>[] = [];
const { database, history } = openProgram(settings, async () => {
  stopping = true;
  await Promise.all(writers);
});

/** Few keys get most messages. */
const someKey = (): string => `key-${Math.floor(settings.keys * random() ** 3)}`;

/** Takes the next turn of each key, under its row lock. Keys are locked in one order, so that writers do not deadlock. */
async function takeTurns(client: PoolClient, keys: readonly string[]): Promise<PublishedMessage[]> {
  const messages: PublishedMessage[] = [];
  for (const key of keys.toSorted()) {
    const { rows } = await client.query<{ turn: number }>(
      'update chaos_key set turn = turn + 1 where key = $1 returning turn',
      [key],
    );
    messages.push({ n: next, key, turn: rows[0]?.turn as number });
    next += 1;
  }
  return messages;
}

async function write(client: PoolClient, messages: readonly PublishedMessage[]): Promise<void> {
  for (const { n, key, turn } of messages) {
    await client.query('insert into published (n, key, turn) values ($1, $2, $3)', [n, key, turn]);
    await outbox.publish(client, { topic: TOPIC, key, payload: { n, key, turn } });
  }
  if (random() < HOLD_SHARE) await sleep(random() * HOLD_MS);
}

/** A message that is due later, by the database's clock. Its row in the business table says when. */
async function schedule(client: PoolClient): Promise<void> {
  const n = next;
  next += 1;
  const { rows } = await client.query<{ due: Date }>(
    `insert into scheduled (n, due_at) values ($1, clock_timestamp() + $2 * interval '1 millisecond') returning due_at as due`,
    [n, random() * LATER_MS],
  );
  const deliverAt = rows[0]?.due as Date;
  await outbox.publish(client, { topic: LATER_TOPIC, payload: { n }, deliverAt });
}

/** A message whose savepoint is rolled back: it must never be seen. */
async function writeInVain(client: PoolClient): Promise<void> {
  await client.query('savepoint vain');
  await outbox.publish(client, { topic: TOPIC, key: 'vain', payload: { n: -1, key: 'vain', turn: 0 } });
  await client.query('rollback to savepoint vain');
}

function release(client: PoolClient, isBroken: boolean): void {
  client.off('error', ignore);
  client.release(isBroken);
}

/** One business transaction of 1 to 3 messages, and what is known of its outcome. */
async function transact(id: string): Promise<void> {
  const keys = [...new Set(Array.from({ length: 1 + Math.floor(random() * 3) }, someKey))];
  let messages: PublishedMessage[] = [];
  let committing = false;
  const client = await database.pool.connect().catch(() => undefined);
  if (client === undefined) return sleep(50);
  // Its loss is noticed at the next statement.
  client.on('error', ignore);
  const limit = setTimeout(() => void (client as PoolClient & Client).end(), LIMIT_MS);
  try {
    await client.query(`begin; ${SERVER_LIMIT}`);
    messages = await takeTurns(client, keys);
    history.write({ f: 'publish', type: 'invoke', id, messages });
    if (random() < SAVEPOINT_SHARE) await writeInVain(client);
    await write(client, messages);
    if (random() < LATER_SHARE) await schedule(client);
    if (random() < ROLLBACK_SHARE) throw new Error('rolled back on purpose');
    committing = true;
    await client.query('commit');
    history.write({ f: 'publish', type: 'ok', id, messages });
    release(client, false);
  } catch {
    history.write({ f: 'publish', type: committing ? 'info' : 'fail', id, messages });
    const isOver = await client.query('rollback').then(
      () => true,
      () => false,
    );
    release(client, !isOver || committing);
  } finally {
    clearTimeout(limit);
  }
}

async function work(writer: number): Promise<void> {
  for (let count = 0; !stopping; count += 1) {
    const started = performance.now();
    await transact(`${settings.name}/${writer}/${count}`);
    const pause = (1_000 * WRITERS) / settings.perSecond - (performance.now() - started);
    if (pause > 0) await sleep(pause);
  }
}

console.log('ready');
for (let writer = 0; writer < WRITERS; writer += 1) writers.push(work(writer));
await Promise.all(writers);
