import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Erasure } from '@waybill/erasure';
import { Bell, PgDatabase } from '@waybill/kernel';
import {
  decodeBatch,
  type LogEngine,
  type LogRecord,
  type ReadyBatch,
  Sealer,
  type SourcePass,
  type WrappedKey,
} from '@waybill/log';
import { openRecord, subjectHash } from '@waybill/log/internal';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Outbox, Relay } from '@waybill/outbox';
import { migrate } from '@waybill/schema';
import { waitUntil } from '@waybill/testing';
import { drain, OwnService, TestBus } from '../support/own-databases.js';
import { cipherOf } from '../support/secret-shop.js';

const ASKED = { by: 'ann', reason: 'she asked for it' };
const ANN = 'customer-1';
const BOB = 'customer-2';

let bus: TestBus;
let maker: OwnService;
let taker: OwnService;
/** With the keys of its own processes only. */
const outbox = new Outbox({ sealer: new Sealer({ cipher: cipherOf('k1') }) });

beforeEach(async () => {
  bus = await TestBus.create();
  maker = await OwnService.create(bus);
  taker = await OwnService.create(bus);
});
afterEach(async () => {
  await maker.close();
  await taker.close();
  await bus.close();
});

const publish = (text: string, subject?: string, { service = maker } = {}): Promise<unknown> =>
  service.transaction((client) =>
    outbox.publish(client, { topic: 'orders', payload: text, ...(subject !== undefined && { subject }) }),
  );

const keysOf = (subject: string): Promise<number> => bus.log.subjectKeys.count(subjectHash(subject));

const ownKeys = (service: OwnService): Promise<number> =>
  service.value('select count(*)::int from waybill.subject_key');

const erasureOf = (service: OwnService, log: LogEngine = service.log): Erasure =>
  new Erasure(service.database, log);

async function records(): Promise<LogRecord[]> {
  const { partitionIds } = await bus.log.topics.get('orders');
  const { batches } = await bus.log.fetch([{ partitionId: partitionIds[0] ?? 0, offset: 0 }]);
  return batches.flatMap(({ data }) => [...decodeBatch(data)]);
}

/** What a service reads in the log: texts, or why it cannot be read. */
async function readBy({ database, log }: OwnService): Promise<string[]> {
  const sealer = new Sealer({ cipher: cipherOf('k1'), logKeys: log.subjectKeys });
  return Promise.all(
    (await records()).map((record) =>
      openRecord(sealer, database.session, 'orders', record, 'it').then(
        ({ value }) => JSON.parse(String(value)) as string,
        (error: unknown) => String((error as { code?: unknown }).code),
      ),
    ),
  );
}

type HandOver = (keys?: readonly WrappedKey[]) => Promise<void>;

/** The log of a service, with something done around each hand-over. */
function around(work: (keys: readonly WrappedKey[], handOver: HandOver) => Promise<void>): LogEngine {
  return new Proxy(maker.log, {
    get(target, property) {
      if (property === 'handOver')
        return (pass: SourcePass, batches: readonly ReadyBatch[], given: readonly WrappedKey[]) =>
          work(given, () => target.handOver(pass, batches, given));
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** The log, with another way to destroy keys in it. */
function destroying(log: LogEngine, destroy: (subject: Buffer) => Promise<number>): LogEngine {
  const { subjectKeys: keys } = log;
  const subjectKeys = {
    read: keys.read.bind(keys),
    count: keys.count.bind(keys),
    destroy,
  };
  return new Proxy(log, {
    get: (target, property) =>
      property === 'subjectKeys' ? subjectKeys : (Reflect.get(target, property, target) as unknown),
  });
}

describe('the keys of a pass', () => {
  test('get into the log with it, so that a service with another database reads it', async () => {
    await publish('of ann', ANN);
    await publish('of bob', BOB);
    await publish('of ann again', ANN);
    await drain(maker.relay());
    expect(await readBy(taker)).toEqual(['of ann', 'of bob', 'of ann again']);
    expect(await ownKeys(taker)).toBe(0);
    // A later pass with the same keys stores nothing.
    await publish('later', ANN);
    await drain(maker.relay());
    expect(await keysOf(ANN)).toBe(1);
    expect(await readBy(taker)).toEqual(['of ann', 'of bob', 'of ann again', 'later']);
  });

  test('are those that it needs: none without a subject', async () => {
    const sent: number[] = [];
    const relay = maker.relay({}, { log: around((keys, handOver) => (sent.push(keys.length), handOver())) });
    await publish('of nobody');
    await drain(relay);
    await publish('of ann', ANN);
    await publish('also', ANN);
    await drain(relay);
    await publish('of nobody');
    await drain(relay);
    expect(sent).toEqual([0, 1, 0]);
  });

  test('come again with a pass that is appended again', async () => {
    let lost = 0;
    const log = around((_, handOver) => {
      lost += 1;
      if (lost > 1) return handOver();
      return Promise.reject(new Error('the connection is lost before the pass is sent'));
    });
    await publish('of ann', ANN);
    await drain(maker.relay({}, { log }));
    expect(lost).toBe(2);
    expect(await readBy(taker)).toEqual(['of ann']);
  });

  test('of a service in the database of the bus are there as well', async () => {
    const { connectionString } = bus.created;
    await migrate({ connectionString, part: 'service' });
    const database = new PgDatabase({ connectionString });
    const log = new PostgresLogEngine(database);
    await log.topics.list();
    const relay = new Relay({ database, log, bell: new Bell() });
    const client = await database.pool.connect();
    await client.query('begin');
    await outbox.publish(client, { topic: 'orders', payload: 'of ann', subject: ANN });
    await client.query('commit');
    client.release();
    while ((await relay.runOnce()) === 'again');
    expect(await readBy(taker)).toEqual(['of ann']);
    await new Erasure(database, log).erase({ subject: ANN }, ASKED);
    expect(await readBy(taker)).toEqual(['SUBJECT_ERASED']);
    await database.close();
  });
});

describe('an erasure', () => {
  test('destroys the keys in both databases, and is final in both', async () => {
    await publish('of ann', ANN);
    await publish('of bob', BOB);
    await drain(maker.relay());
    const erasure = erasureOf(maker);
    const subject = { subject: ANN };
    const done = [
      { where: 'keys of the subject', rows: 1 },
      { where: 'keys of the subject in the log', rows: 1 },
    ];
    expect((await erasure.erase(subject, ASKED, { dryRun: true })).done).toEqual(done);
    expect(await readBy(taker)).toEqual(['of ann', 'of bob']);
    expect((await erasure.erase(subject, ASKED)).done).toEqual(done);
    const read = ['SUBJECT_ERASED', 'of bob'];
    expect([await readBy(taker), await readBy(maker)]).toEqual([read, read]);
    await expect(publish('of ann', ANN)).rejects.toMatchObject({ code: 'SUBJECT_ERASED' });
    // The other service does not know of it yet: what it publishes is ciphertext without a key.
    await publish('of ann by another', ANN, { service: taker });
    await drain(taker.relay());
    expect(await keysOf(ANN)).toBe(0);
    expect(await readBy(maker)).toEqual([...read, 'SUBJECT_ERASED']);
    expect((await erasureOf(taker).erase(subject, ASKED)).done).toEqual(done.slice(0, 1));
    expect(await readBy(taker)).toEqual([...read, 'SUBJECT_ERASED']);
  });

  test('before the hand-over does not stop the relay, and its messages are unreadable', async () => {
    await publish('of ann', ANN);
    await publish('of bob', BOB);
    await erasureOf(maker).erase({ subject: ANN }, ASKED);
    await drain(maker.relay());
    expect(await readBy(taker)).toEqual(['SUBJECT_ERASED', 'of bob']);
  });

  test('is not undone by a pass whose keys arrive later', async () => {
    let sent = 0;
    let goOn = (): void => {};
    const erased = new Promise<void>((resolve) => (goOn = resolve));
    const log = around(async (keys, handOver) => {
      sent += keys.length;
      await erased;
      await handOver();
    });
    const relay = maker.relay({}, { log });
    await publish('of ann', ANN);
    const relayed = drain(relay);
    await waitUntil(() => sent === 1, { describe: 'the pass is under way' });
    await erasureOf(maker).erase({ subject: ANN }, ASKED);
    goOn();
    await relayed;
    expect(await records()).toHaveLength(1);
    expect(await keysOf(ANN)).toBe(0);
    expect(await readBy(taker)).toEqual(['SUBJECT_ERASED']);
  });

  test('waits for a pass that is being appended, and destroys its keys', async () => {
    await publish('of ann', ANN);
    const client = await bus.database.pool.connect();
    await client.query('begin');
    await client.query(`select waybill_bus.keep_subject_keys($1, array[gen_random_uuid()], '{x}')`, [
      [subjectHash(ANN)],
    ]);
    let isDone = false;
    const erasing = erasureOf(maker)
      .erase({ subject: ANN }, ASKED)
      .then(() => (isDone = true));
    await waitUntil(
      async () => {
        const waiting = `select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted
           and database = (select oid from pg_database where datname = current_database())`;
        return (await bus.database.pool.query<{ n: number }>(waiting)).rows[0]?.n === 1;
      },
      { describe: 'the erasure waits' },
    );
    expect(isDone).toBe(false);
    await client.query('commit');
    client.release();
    await erasing;
    expect(await keysOf(ANN)).toBe(0);
  });

  test('that ends between the databases is finished by another', async () => {
    await publish('of ann', ANN);
    await drain(maker.relay());
    const subject = { subject: ANN };
    const crashing = destroying(maker.log, async (hash) => {
      await maker.log.subjectKeys.destroy(hash);
      throw new Error('the process has crashed');
    });
    await expect(erasureOf(maker, crashing).erase(subject, ASKED)).rejects.toThrow('has crashed');
    expect(await readBy(taker)).toEqual(['SUBJECT_ERASED']);
    expect(await ownKeys(maker)).toBe(1);
    // Until it is finished, the service may publish, and no other service can read it.
    await publish('more', ANN);
    await drain(maker.relay());
    expect(await readBy(taker)).toEqual(['SUBJECT_ERASED', 'SUBJECT_ERASED']);
    expect((await erasureOf(maker).erase(subject, ASKED)).done).toEqual([
      { where: 'keys of the subject', rows: 1 },
    ]);
    expect(await readBy(maker)).toEqual(['SUBJECT_ERASED', 'SUBJECT_ERASED']);
    await expect(publish('of ann', ANN)).rejects.toMatchObject({ code: 'SUBJECT_ERASED' });
  });

  test('stays final in a service whose log has the keys again, as a restored one', async () => {
    await publish('of ann', ANN);
    await drain(maker.relay());
    const { pool } = bus.database;
    await pool.query('create table kept as select * from waybill_bus.subject_key');
    await erasureOf(maker).erase({ subject: ANN }, ASKED);
    await pool.query('delete from waybill_bus.erased_subject');
    await pool.query('insert into waybill_bus.subject_key overriding system value select * from kept');
    expect(await readBy(taker)).toEqual(['of ann']);
    expect(await readBy(maker)).toEqual(['SUBJECT_ERASED']);
  });

  test('does nothing while the bus is away', async () => {
    await publish('of ann', ANN);
    await drain(maker.relay());
    const away = destroying(maker.log, () => Promise.reject(new Error('the bus is away')));
    await expect(erasureOf(maker, away).erase({ subject: ANN }, ASKED)).rejects.toThrow('is away');
    expect(await readBy(maker)).toEqual(['of ann']);
    expect(await readBy(taker)).toEqual(['of ann']);
    await publish('more', ANN);
  });
});
