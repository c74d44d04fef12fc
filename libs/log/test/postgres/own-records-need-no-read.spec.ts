import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { newId, PgDatabase, systemClock } from '@waybill/kernel';
import { type FetchedBatch, type ReadyBatch, RecordBatchBuilder, type SourcePass } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { migrate } from '@waybill/schema';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import { LogReader } from '../../src/postgres/log-reader.js';

let created: TestDatabase;
let processes: Process[];
let now: number;
let partitions: readonly number[];

interface Process {
  readonly database: PgDatabase;
  readonly log: PostgresLogEngine;
}

beforeEach(async () => {
  created = await testDatabase('tail');
  await migrate({ connectionString: created.connectionString });
  processes = [];
  now = 1_000;
});
afterEach(async () => {
  jest.restoreAllMocks();
  for (const { log, database } of processes) {
    await log.signals.stop();
    await database.close();
  }
  await created.drop();
});

/** A process that hears the others, and whose time passes only when the test says so. */
async function open(): Promise<Process> {
  const database = new PgDatabase({ connectionString: created.connectionString });
  const log = new PostgresLogEngine(database, { clock: { ...systemClock, monotonic: () => now } });
  processes.push({ database, log });
  log.signals.start();
  await waitUntil(() => log.signals.listening, { describe: 'it hears the others' });
  partitions = (await log.topics.create('orders', { partitions: 2 })).partitionIds;
  return { database, log };
}

const at = (place: number): number => partitions[place] as number;

function batchOf(partitionId: number, value: string): ReadyBatch {
  const builder = new RecordBatchBuilder();
  builder.append(1_000, null, Buffer.from(value), []);
  const data = builder.build({ producerId: -1n, producerEpoch: -1, baseSequence: -1 });
  return { partitionId, recordCount: 1, maxTimestampMs: 1_000, baseSequence: -1, data };
}

/** The passes of one outbox. */
class Outbox {
  readonly #serviceId = newId();
  #before: { readonly n: number; readonly token: string | null } = { n: 0, token: null };

  constructor(private readonly process: Process) {}

  async next(): Promise<SourcePass> {
    const { logEpoch } = await this.process.log.identity();
    const { n, token: tokenBefore } = this.#before;
    const pass = { serviceId: this.#serviceId, logEpoch, n: n + 1, token: newId(), tokenBefore };
    this.#before = pass;
    return pass;
  }

  /** Hands over in its own transaction, as where the log is in another database. */
  async handOver(...batches: ReadyBatch[]): Promise<void> {
    await this.process.log.handOver(await this.next(), batches);
  }
}

async function read({ log }: Process, ...offsets: number[]): Promise<readonly FetchedBatch[]> {
  const positions = offsets.map((offset, place) => ({ partitionId: at(place), offset }));
  return (await log.fetch(positions)).batches;
}

/** How often the log was asked meanwhile. */
async function readsDuring(work: () => Promise<unknown>): Promise<number> {
  const reads = jest.spyOn(LogReader.prototype, 'fetch');
  await work();
  const { length } = reads.mock.calls;
  reads.mockRestore();
  return length;
}

test('what a process has handed over itself its readers get from memory, as the log has it', async () => {
  const own = await open();
  const outbox = new Outbox(own);
  await read(own, 0, 0);
  await outbox.handOver(batchOf(at(0), 'a'), batchOf(at(1), 'x'));
  await outbox.handOver(batchOf(at(0), 'b'));
  let kept: readonly FetchedBatch[] = [];
  expect(await readsDuring(async () => (kept = await read(own, 0, 0)))).toBe(0);
  // Another group of the process, further on; and one that has read all.
  expect(await readsDuring(async () => expect(await read(own, 1, 1)).toHaveLength(1))).toBe(0);
  expect(await readsDuring(async () => expect(await read(own, 2, 1)).toEqual([]))).toBe(0);
  const stored = await read(await open(), 0, 0);
  expect(kept).toHaveLength(3);
  expect(new Set(kept)).toEqual(new Set(stored));
});

test('and where both are one transaction: not before it has committed', async () => {
  const own = await open();
  const outbox = new Outbox(own);
  await read(own, 0, 0);
  const batches = [batchOf(at(0), 'a')];
  const within = own.log.handOverWithin(own.database)?.(await outbox.next(), batches);
  const results = await own.database.runTogether(within?.statements ?? []);
  // The answer to COMMIT has not come yet, as far as this process knows.
  now += 201;
  expect(await readsDuring(() => read(own, 0, 0))).toBe(1);
  within?.committed(results);
  now += 201;
  expect(await readsDuring(async () => expect(await read(own, 0, 0)).toHaveLength(1))).toBe(1);
});

test('records of another process come in between: none is missed, and the order is the log’s', async () => {
  const own = await open();
  const [outbox, others] = [new Outbox(own), new Outbox(await open())];
  await read(own, 0, 0);
  await outbox.handOver(batchOf(at(0), 'a'));
  await read(own, 0, 0);
  await others.handOver(batchOf(at(0), 'b'));
  await outbox.handOver(batchOf(at(0), 'c'));
  const offsets = async (from: number): Promise<number[]> =>
    (await read(own, from, 0)).map(({ baseOffset }) => baseOffset);
  expect(await offsets(0)).toEqual(expect.arrayContaining([0]));
  expect(await offsets(1)).toEqual([1, 2]);
});

test('another process announces a record: the log is asked at once', async () => {
  const own = await open();
  const other = await open();
  await read(own, 0, 0);
  const { news } = own.log.signals as unknown as { news: number };
  await new Outbox(other).handOver(batchOf(at(1), 'x'));
  await waitUntil(() => (own.log.signals as unknown as { news: number }).news > news, {
    describe: 'the announcement is heard',
  });
  expect(await read(own, 0, 0)).toHaveLength(1);
});

test('nobody announces it: the log is asked again after a moment', async () => {
  const own = await open();
  await read(own, 0, 0);
  expect(await readsDuring(() => read(own, 0, 0))).toBe(0);
  const { rows } = await own.database.pool.query<{ count: number }>(
    'select count(*)::int from waybill_bus.log_append($1, $2, $3, $4, $5, $6, -1, null)',
    [
      ...([[at(0)], [1], [batchOf(at(0), 'a').data.length], [1_000], [-1]] as const),
      batchOf(at(0), 'a').data,
    ],
  );
  expect(rows[0]?.count).toBe(1);
  now += 201;
  expect(await read(own, 0, 0)).toHaveLength(1);
});

test('a pass that the log had already is read from it', async () => {
  const own = await open();
  const outbox = new Outbox(own);
  await read(own, 0, 0);
  const pass = await outbox.next();
  await (await open()).log.handOver(pass, [batchOf(at(0), 'a')]);
  await own.log.handOver(pass, [batchOf(at(0), 'a')]);
  expect(await readsDuring(async () => expect(await read(own, 0, 0)).toHaveLength(1))).toBe(1);
});

test('the log gets another history: nothing that was kept of the older one is read', async () => {
  const own = await open();
  const outbox = new Outbox(own);
  await read(own, 0, 0);
  await outbox.handOver(batchOf(at(0), 'a'));
  await own.database.pool.query('insert into waybill_bus.log_epoch (epoch) values (99)');
  now += 201;
  await read(own, 1, 0);
  const from = [{ partitionId: at(0), offset: 0 }];
  const reads = await readsDuring(async () =>
    expect((await own.log.fetch(from)).history).toMatchObject({ logEpoch: 99 }),
  );
  expect(reads).toBe(1);
});
