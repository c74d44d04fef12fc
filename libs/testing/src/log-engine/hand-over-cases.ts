import assert from 'node:assert/strict';
import { Bell, newId } from '@waybill/kernel';
import type { LogEngine, ReadyBatch, SourcePass } from '@waybill/log';
import { appendOne, batchOf, type CaseLog, endsOf, partitionOf, readFrom } from './log-under-test.js';

/** A partition that holds nothing, whatever the log. */
const NO_PARTITION = 2_000_000_000;

/** A service's passes, each behind the one before. */
export class Source {
  readonly serviceId = newId();
  #before: { readonly n: number; readonly token: string | null } = { n: 0, token: null };

  constructor(private readonly logEpoch: number) {}

  static async on(log: LogEngine): Promise<Source> {
    return new Source((await log.identity()).logEpoch);
  }

  /** The next pass. */
  next(): SourcePass {
    const { serviceId, logEpoch } = this;
    const { n, token: tokenBefore } = this.#before;
    const pass = { serviceId, logEpoch, n: n + 1, token: newId(), tokenBefore };
    this.#before = pass;
    return pass;
  }
}

/** The values in a partition, one after the other. */
export async function valuesIn(log: LogEngine, partitionId: number): Promise<string> {
  return (await readFrom(log, partitionId, 0)).map(({ value }) => value).join('');
}

/** Hand-over: passes of outboxes, each of which takes effect once. */
export const handOverCases: readonly (readonly [string, (log: CaseLog) => Promise<void>])[] = [
  [
    'appends a pass once, however often it is handed over',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(2);
      const [first, second] = [partitionOf(topic, 0), partitionOf(topic, 1)];
      const source = await Source.on(engine);
      const pass = source.next();
      const batches = [batchOf(first, ['a', 'b']), batchOf(second, ['x'])];
      await engine.handOver(pass, batches);
      const { log: other } = await log.open();
      await other.handOver(pass, batches);
      await other.handOver(source.next(), [batchOf(first, ['c'])]);
      // A late copy, also with other batches: the token decides.
      await engine.handOver(pass, [batchOf(first, ['z'])]);
      assert.equal(await valuesIn(engine, first), 'abc');
      assert.equal(await valuesIn(engine, second), 'x');
    },
  ],
  [
    'announces what is handed over to the readers of its process',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      const source = await Source.on(engine);
      const bell = new Bell();
      const stop = engine.signals.subscribe('appended', bell);
      // Whether anybody has read before or not.
      for (const value of ['a', 'b']) {
        await engine.handOver(source.next(), [batchOf(partitionId, [value])]);
        assert.ok(await bell.wait(10_000), 'nothing was announced');
        assert.equal((await valuesIn(engine, partitionId)).at(-1), value);
      }
      stop();
    },
  ],
  [
    'takes the same pass from two processes at the same time once',
    async (log) => {
      const { topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      const engines = await Promise.all([log.open(), log.open()]);
      const [{ log: engine }] = engines;
      const source = await Source.on(engine);
      for (let n = 0; n < 10; n += 1) {
        const pass = source.next();
        await Promise.all(
          engines.map(({ log: each }) => each.handOver(pass, [batchOf(partitionId, [`${n}`])])),
        );
      }
      assert.equal(await valuesIn(engine, partitionId), '0123456789');
    },
  ],
  [
    'says what it holds of a source, and where',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      const { busId, logEpoch } = await engine.identity();
      const source = await Source.on(engine);
      const { serviceId } = source;
      assert.deepEqual(await engine.askSource(serviceId), { busId, logEpoch, n: 0, token: null });
      await appendOne(engine, partitionId, ['-']);
      const [first, empty, third] = [source.next(), source.next(), source.next()];
      await engine.handOver(first, [batchOf(partitionId, ['a', 'b'])]);
      await engine.handOver(empty, []);
      assert.deepEqual(await engine.askSource(serviceId), { busId, logEpoch, n: 2, token: empty.token });
      await engine.handOver(third, [batchOf(partitionId, ['c'])]);
      const passes = await engine.passesOf(serviceId, 1);
      assert.deepEqual(
        passes.map(({ n, token }) => ({ n, token })),
        [first, empty, third].map(({ n, token }) => ({ n, token })),
      );
      const records = await readFrom(engine, partitionId, 0);
      const offsetOf = (value: string): number | undefined =>
        records.find((each) => each.value === value)?.offset;
      const [firstPass, emptyPass] = passes;
      assert.deepEqual(firstPass?.partitionIds, [partitionId]);
      assert.deepEqual(firstPass.baseOffsets, [offsetOf('a')]);
      assert.deepEqual(firstPass.lastOffsets, [offsetOf('b')]);
      assert.deepEqual(emptyPass?.partitionIds, []);
      assert.deepEqual(await engine.passesOf(serviceId, 3), passes.slice(2));
    },
  ],
  [
    'refuses a pass that does not follow on what it holds, and appends nothing of it',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      const source = await Source.on(engine);
      const first = source.next();
      await engine.handOver(first, [batchOf(partitionId, ['a'])]);
      const [second, third] = [source.next(), source.next()];
      const batches: readonly ReadyBatch[] = [batchOf(partitionId, ['z'])];
      const diverged = { code: 'SOURCE_DIVERGED' };
      await assert.rejects(engine.handOver(third, batches), { code: 'FENCED' });
      await assert.rejects(engine.handOver({ ...first, token: newId() }, batches), diverged);
      await assert.rejects(engine.handOver({ ...second, tokenBefore: newId() }, batches), diverged);
      const inOther = { ...second, logEpoch: second.logEpoch + 1 };
      await assert.rejects(engine.handOver(inOther, batches), { code: 'FENCED' });
      assert.equal(await valuesIn(engine, partitionId), 'a');
      await engine.handOver(second, [batchOf(partitionId, ['b'])]);
      await engine.handOver(third, [batchOf(partitionId, ['c'])]);
      assert.equal(await valuesIn(engine, partitionId), 'abc');
    },
  ],
  [
    'appends all of a pass or nothing, and says beforehand what it would refuse',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      const source = await Source.on(engine);
      const pass = source.next();
      const impossible = [batchOf(partitionId, ['a']), batchOf(NO_PARTITION, ['b'])];
      await assert.rejects(engine.handOver(pass, impossible));
      assert.ok((await engine.refusalOf(pass, impossible)) instanceof Error, 'a refusal is an error');
      assert.equal(await engine.refusalOf(pass, [batchOf(partitionId, ['a'])]), undefined);
      assert.equal((await endsOf(engine, partitionId)).endOffset, 0);
      assert.equal((await engine.askSource(source.serviceId)).n, 0);
      await engine.handOver(pass, [batchOf(partitionId, ['c'])]);
      assert.equal(await valuesIn(engine, partitionId), 'c');
    },
  ],
  [
    'says which history was read, and tells a batch from another by its checksum',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      await appendOne(engine, partitionId, ['a', 'b']);
      await appendOne(engine, partitionId, ['c']);
      const { busId, ...history } = await engine.identity();
      assert.ok(busId.length > 0);
      const fetched = await engine.fetch([{ partitionId, offset: 0 }]);
      assert.deepEqual(fetched.history, history);
      const { endOffset } = await endsOf(engine, partitionId);
      const [first, last] = [fetched.batches.at(0), fetched.batches.at(-1)];
      assert.notEqual(first?.checksum, last?.checksum);
      const below = async (offset: number): Promise<number | undefined> =>
        (await engine.checksumsBelow([{ partitionId, offset }])).get(partitionId);
      assert.equal(await below((first?.lastOffset ?? 0) + 1), first?.checksum);
      assert.equal(await below(first?.lastOffset ?? 0), first?.checksum);
      assert.equal(await below(endOffset), last?.checksum);
      assert.equal(await below(0), undefined);
      assert.equal(await below(endOffset + 5), undefined);
      assert.equal((await engine.cutsSince([partitionId], history.logEpoch)).size, 0);
    },
  ],
];
