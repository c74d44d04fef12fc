import assert from 'node:assert/strict';
import { Bell } from '@waybill/kernel';
import { type CaseLog, newName, partitionOf } from './log-under-test.js';
import { waitUntil } from '../wait-until.js';

const WAKE_MS = 10_000;

/** Topics, signals and the log's identity. */
export const topicCases: readonly (readonly [string, (log: CaseLog) => Promise<void>])[] = [
  [
    'creates a topic with its partitions once, and every process finds it',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(3);
      assert.equal(new Set(topic.partitionIds).size, 3);
      assert.deepEqual(await engine.topics.create(topic.name, { partitions: 5 }), topic);
      const other = await log.open();
      assert.deepEqual(await other.log.topics.get(topic.name), topic);
      assert.deepEqual(
        [...(await other.log.topics.findAll(new Set([topic.name, newName('none')]))).keys()],
        [topic.name],
      );
      assert.deepEqual(other.log.topics.locate(partitionOf(topic, 2)), { topic: topic.name, number: 2 });
      assert.ok((await other.log.topics.list()).some(({ name }) => name === topic.name));
    },
  ],
  [
    'counts the topics, read from the log each time',
    async (log) => {
      const { log: engine } = await log.open();
      const before = await engine.topics.count();
      await log.withTopic(1);
      assert.ok((await engine.topics.count()) > before);
    },
  ],
  [
    'changes settings of a topic, and other processes read them',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const { log: other } = await log.open();
      await other.topics.get(topic.name);
      await engine.topics.configure(topic.name, { onDeadLetter: 'park', retentionMs: 3_600_000 });
      const refreshed = (await other.topics.refresh(topic.partitionIds)).get(topic.name);
      assert.equal(refreshed?.onDeadLetter, 'park');
      assert.equal(refreshed.retentionMs, 3_600_000);
      assert.equal(refreshed.onExpired, topic.onExpired);
    },
  ],
  [
    'refuses unknown topics',
    async (log) => {
      const { log: engine } = await log.open();
      const name = newName('none');
      assert.equal(await engine.topics.find(name), undefined);
      await assert.rejects(engine.topics.get(name), { code: 'TOPIC_UNKNOWN' });
      await assert.rejects(engine.topics.configure(name, { onExpired: 'drop' }), { code: 'TOPIC_UNKNOWN' });
    },
  ],
  [
    'has one identity, in every process',
    async (log) => {
      const [one, other] = [await log.open(), await log.open()];
      const identity = await one.log.identity();
      assert.notEqual(identity.busId, '');
      assert.deepEqual(await other.log.identity(), identity);
    },
  ],
  [
    'wakes its own process at once, and others soon',
    async (log) => {
      const [one, other] = [await log.open(), await log.open()];
      for (const { log: engine } of [one, other]) engine.signals.start();
      await waitUntil(() => other.log.signals.listening, { describe: 'the other process listens' });
      const [here, there] = [new Bell(), new Bell()];
      let rings = 0;
      here.onRing(() => (rings += 1));
      const unsubscribe = one.log.signals.subscribe('redrive', here);
      other.log.signals.subscribe('redrive', there);
      const woken = there.wait(WAKE_MS);
      // More rings than signals do no harm.
      const before = rings;
      one.log.signals.send('redrive');
      assert.ok(rings > before, 'its own process was not woken');
      assert.equal(await woken, true, 'the other process was not woken');
      unsubscribe();
      const after = rings;
      one.log.signals.send('redrive');
      assert.equal(rings, after, 'it rang after it was unsubscribed');
    },
  ],
  [
    'tells the other processes of a new topic',
    async (log) => {
      const [one, other] = [await log.open(), await log.open()];
      for (const { log: engine } of [one, other]) engine.signals.start();
      await waitUntil(() => other.log.signals.listening, { describe: 'the other process listens' });
      const told = new Bell();
      other.log.signals.subscribe('topics', told);
      const woken = told.wait(WAKE_MS);
      await one.log.topics.create(newName('topic'), { partitions: 1 });
      assert.equal(await woken, true, 'the other process was not told');
    },
  ],
  [
    'carries notes to every process',
    async (log) => {
      const [one, other] = [await log.open(), await log.open()];
      for (const { log: engine } of [one, other]) engine.signals.start();
      await waitUntil(() => other.log.signals.listening, { describe: 'the other process listens' });
      const note = newName('note');
      const heard: string[] = [];
      other.log.signals.notes.onNote((received) => heard.push(received));
      one.log.signals.notes.send(note);
      await waitUntil(() => heard.includes(note), { describe: 'the note arrives' });
    },
  ],
];
