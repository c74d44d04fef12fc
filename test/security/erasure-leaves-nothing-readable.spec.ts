import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { INestMicroservice } from '@nestjs/common';
import { createProgram } from '@waybill/cli';
import {
  DeadLetters,
  Erasure,
  HalfMessageOperations,
  HalfMessages,
  MessageIdGuard,
  Outbox,
  Recurring,
  SagaOperations,
  Sagas,
  Waybill,
  WaybillClient,
  type WaybillModuleOptions,
  WaybillRecord,
} from '@waybill/nestjs';
import { DeadLetterRetention } from '@waybill/dead-letter';
import { waitUntil } from '@waybill/testing';
import { lastValueFrom } from 'rxjs';
import { Fixture } from '../support/fixture.js';
import { checked, cipherOf, Orders, seen, startShop } from '../support/secret-shop.js';
import { tablesWith } from '../support/stored-text.js';

const MARKER = 'M4rk3r-of-a-person';
const ANN = { by: 'ann' };
const ASKED = { by: 'ann', reason: 'she asked for it' };

let fixture: Fixture;
const apps: INestMicroservice[] = [];
beforeEach(async () => {
  fixture = await Fixture.create({});
  seen.length = 0;
  checked.length = 0;
});
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await fixture.close();
});

const start = async (options: Partial<WaybillModuleOptions>): Promise<INestMicroservice> => {
  const app = await startShop(fixture, options);
  apps.push(app);
  return app;
};

const publish = (
  app: INestMicroservice,
  topic: string,
  text: string,
  fields: object,
): Promise<{ id: string }> =>
  fixture.transaction((tx) => app.get(Outbox).publish(tx, { topic, payload: { text }, ...fields }));

const count = (from: string): Promise<number> => fixture.value(`select count(*)::int from waybill.${from}`);

const until = (claim: () => Promise<boolean> | boolean, what: string): Promise<void> =>
  waitUntil(claim, { describe: () => `${what}; seen: ${JSON.stringify(seen)}` });

const command = async (...words: string[]): Promise<string> => {
  let printed = '';
  const program = createProgram({ write: (text) => (printed += text) });
  await program.parseAsync(['node', 'waybill', '--database-url', fixture.url, ...words]);
  return printed;
};

/** Makes everything that waits due now. */
const hurry = async (): Promise<void> => {
  await fixture.database.pool.query(`update waybill.timer set due_at = clock_timestamp()`);
  await fixture.database.pool.query(`update waybill.parked_message set due_at = clock_timestamp()`);
};

const saga = (app: INestMicroservice, key: string, text: string, fields: object = {}) =>
  fixture.transaction((tx) =>
    app.get(Sagas).start(tx, app.get(Orders).place, { key, data: { text }, ...fields }),
  );

/** What the guard of the notes handler has stored of a message. */
const resultOf = (app: INestMicroservice, id: string): Promise<unknown> =>
  fixture.transaction(async (tx) => {
    const work = (): never => {
      throw new Error('it has not been handled');
    };
    return (await app.get(MessageIdGuard).once(tx, 'shop/notes/Handlers.note', id, work)).result;
  });

/** Stores data of a subject in every place that can hold it. */
async function leaveTraces(
  app: INestMicroservice,
  subject: string,
): Promise<{ half: string; saga: string; note: string }> {
  const fields = { subject, key: `key-of-${subject}` };
  const text = (where: string): string => `${MARKER} ${subject} ${where}`;
  const note = await publish(app, 'notes', text('notes'), fields);
  for (const topic of ['leased', 'bad', 'waiting']) await publish(app, topic, text(topic), fields);
  await publish(app, 'notes', text('later'), { ...fields, delayMs: 3_600_000 });
  const asked = new WaybillRecord({ text: text('asked') }, fields);
  expect(await lastValueFrom(app.get(WaybillClient).send('ask', asked))).toEqual({
    text: `answer to ${text('asked')}`,
  });
  const half = await app
    .get(HalfMessages)
    .prepare({ topic: 'halves', payload: { text: text('half') }, ...fields });
  const { id } = await saga(app, `saga-of-${subject}`, text('saga'), { subject });
  const { data } = await app.get(Sagas).outcome(id);
  expect(data).toMatchObject({ bill: `bill of ${text('saga')}` });
  return { half: half.id, saga: id, note: note.id };
}

describe('a subject', () => {
  test('that was erased is unreadable everywhere, and other subjects are unaffected', async () => {
    const app = await start({ cipher: cipherOf('k1') });
    const gone = await leaveTraces(app, 'customer-1');
    const kept = await leaveTraces(app, 'customer-2');
    await until(
      async () => (await count('dead_letter')) === 2 && (await count('parked_message')) === 2,
      'all has been handled, or waits',
    );
    expect(await tablesWith(fixture.database, MARKER)).toEqual([]);
    const letters = await app.get(DeadLetters).list();
    const letterOf = (subject: string): number =>
      letters.find(({ key }) => key === `key-of-${subject}`)?.id ?? 0;

    const asked = ['erase', '--subject', 'customer-1', '--by', 'ann'];
    expect(await command(...asked)).toContain('would be erased; use --yes to erase it');
    expect(await app.get(DeadLetters).show(letterOf('customer-1'))).toMatchObject({ unreadable: null });
    await expect(command(...asked, '--yes')).rejects.toThrow('give a reason');
    const report = await command(...asked, '--because', 'she asked for it', '--yes');
    expect(report).toMatch(/^subject [0-9a-f]{64} was erased\nerased: 1 keys of the subject\n/);
    expect(report).toContain('erased: 1 attributes of its sagas');
    const found = await fixture.database.pool.query('select saga_id as id from waybill.saga_attribute');
    expect(found.rows).toEqual([{ id: kept.saga }]);
    expect(report).toContain('remains: deadLetters: 1 left as ciphertext that can no longer be read');
    expect(report).toContain('remains: sagas: 1 left as ciphertext');
    expect(report).toContain('remains: backups, WAL archives and standbys: ');
    const [action] = await app.get(Erasure).actions();
    expect(action).toMatchObject({ by: 'ann', action: 'erase', reason: 'she asked for it' });
    expect(action?.actor).toBe(await fixture.value<string>('select session_user::text'));
    expect(JSON.stringify(action)).not.toContain('customer-1');

    const erased = { unreadable: expect.stringContaining('SUBJECT_ERASED') };
    const { deadLetters, halves, sagas } = app.get(Waybill);
    expect(await deadLetters.show(letterOf('customer-1'))).toMatchObject(erased);
    expect(await deadLetters.show(letterOf('customer-2'))).toMatchObject({ unreadable: null });
    expect((await halves.operations.show(gone.half)).unreadable).toEqual([erased.unreadable]);
    expect((await app.get(HalfMessageOperations).show(kept.half)).unreadable).toEqual([null]);
    expect(await sagas.operations.show(gone.saga)).toMatchObject({ ...erased, timeline: expect.any(Array) });
    expect((await app.get(SagaOperations).show(kept.saga)).unreadable).toBeNull();
    await expect(app.get(Sagas).outcome(gone.saga)).rejects.toMatchObject({ code: 'SUBJECT_ERASED' });
    await expect(resultOf(app, gone.note)).rejects.toMatchObject({ code: 'SUBJECT_ERASED' });
    expect(await resultOf(app, kept.note)).toEqual({ text: `${MARKER} customer-2 notes` });
    await expect(app.get(Sagas).outcome(kept.saga)).resolves.toMatchObject({ state: 'COMPLETED' });
    expect(await command('dlq', 'show', String(letterOf('customer-1')), '--payload')).toContain(
      'SUBJECT_ERASED',
    );

    // Its messages are dropped at once; the other's are handled, even by a process that is unaware of the erasure.
    seen.length = 0;
    for (const { id } of letters) await deadLetters.redrive(id, ANN);
    await halves.operations.commit(gone.half, ANN, { force: true });
    await apps.pop()?.close();
    await hurry();
    const next = await start({ cipher: cipherOf('k1') });
    await until(
      () => ['bad', 'waiting', 'later'].every((where) => seen.some(({ text }) => text.endsWith(where))),
      "the other's messages arrive",
    );
    await until(async () => (await count(`dead_letter where state = 'redriving'`)) === 0, 'all are settled');
    await until(async () => (await count('parked_message')) === 1, 'only the other waits');
    expect(seen.filter(({ text }) => text.includes('customer-1'))).toEqual([]);
    expect(await count(`dead_letter where error_class = 'SubjectErasedError'`)).toBe(0);
    expect(await count('dead_letter')).toBe(2);

    for (const work of [
      () => publish(next, 'notes', MARKER, { subject: 'customer-1' }),
      () => saga(next, 'another', MARKER, { subject: 'customer-1' }),
    ])
      await expect(work()).rejects.toMatchObject({ code: 'SUBJECT_ERASED' });
    await publish(next, 'notes', 'of the other', { subject: 'customer-2' });
    await until(() => seen.some(({ text }) => text === 'of the other'), 'the other continues');
  });

  test('with running sagas is not erased, unless they may become stuck', async () => {
    const app = await start({ cipher: cipherOf('k1'), consumer: false });
    const { id } = await saga(app, 'A-1', MARKER, { subject: 'customer-1' });
    const words = ['erase', '--subject', 'customer-1', '--because', 'asked', '--yes'];
    await expect(command(...words)).rejects.toThrow(`the first is orders.place ${id}`);
    expect((await app.get(SagaOperations).show(id)).unreadable).toBeNull();
    expect(await command(...words, '--stop-sagas')).toContain('erased: 1 sagas that are now stuck');
    expect(await app.get(SagaOperations).show(id)).toMatchObject({
      state: 'STUCK',
      reason: 'its subject was erased',
      unreadable: expect.stringContaining('SUBJECT_ERASED'),
    });
  });

  test('keeps no key of a transaction that was open when it was erased', async () => {
    const app = await start({ cipher: cipherOf('k1'), consumer: false });
    let erasing: Promise<unknown> = Promise.resolve();
    let isDone = false;
    await fixture.transaction(async (tx) => {
      await app.get(Outbox).publish(tx, { topic: 'notes', payload: MARKER, subject: 'customer-1' });
      erasing = app
        .get(Erasure)
        .erase({ subject: 'customer-1' }, ASKED)
        .then(() => (isDone = true));
      await until(
        async () =>
          (await fixture.value(
            `select count(*)::int from pg_locks where locktype = 'advisory' and not granted`,
          )) === 1,
        'the erasure waits',
      );
      expect(isDone).toBe(false);
    });
    await erasing;
    expect(await count('subject_key')).toBe(0);
    // As in docs/ENCRYPTION.md for databases without the operators' tables.
    const hash = `sha256(convert_to('waybill subject' || 'customer-1', 'UTF8'))`;
    expect(await count(`erased_subject where subject_hash = ${hash}`)).toBe(1);
  });

  test('needs a cipher, and a name', async () => {
    const app = await start({ consumer: false });
    await expect(publish(app, 'notes', MARKER, { subject: 'customer-1' })).rejects.toThrow(
      'set the option cipher',
    );
    await expect(saga(app, 'A-1', MARKER, { subject: 'customer-1' })).rejects.toThrow(
      'set the option cipher',
    );
    for (const words of [
      [],
      ['--subject', ''],
      ['--subject', 'a', '--key', 'b'],
      ['--subject', 'a', '--topic', 'notes'],
    ])
      await expect(command('erase', ...words)).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
    await expect(command('erase', '--key', 'k', '--topic', 'nots')).rejects.toThrow('did you mean notes?');
  });
});

describe('without subjects', () => {
  test('the data of a key is removed or emptied, and the report names the rest', async () => {
    const app = await start({});
    const fields = { key: MARKER, headers: { 'x-note': MARKER } };
    for (const topic of ['bad', 'waiting']) {
      await publish(app, topic, `${MARKER} ${topic}`, fields);
      await publish(app, topic, `other ${topic}`, { key: 'other' });
    }
    await publish(app, 'notes', `${MARKER} later`, { ...fields, delayMs: 3_600_000 });
    await app
      .get(Recurring)
      .put('daily', { topic: 'notes', payload: MARKER, ...fields, everyMs: 86_400_000 });
    const half = await app.get(HalfMessages).prepare({ topic: 'halves', payload: MARKER, ...fields });
    await fixture.database.pool.query(
      `insert into waybill.outbox (message_id, topic, key, payload, partition_number)
       values (gen_random_uuid(), 'quarantined', $1, $2, 4000)`,
      [MARKER, Buffer.from(MARKER)],
    );
    await until(
      async () =>
        (await count('dead_letter')) === 2 &&
        (await count('parked_message')) === 2 &&
        (await count('outbox_quarantine')) === 1,
      'all of them wait',
    );
    const report = JSON.parse(
      await command('erase', '--key', MARKER, '--because', 'asked', '--json', '--yes'),
    ) as { done: object[]; remains: { where: string; until: string | null }[] };
    expect(report.done).toEqual(
      expect.arrayContaining([
        { where: 'dead letters', rows: 1 },
        { where: 'parked messages', rows: 1 },
        { where: 'timers', rows: 1 },
        { where: 'recurring messages', rows: 1 },
        { where: 'half messages, rolled back', rows: 1 },
        { where: 'quarantined messages', rows: 1 },
      ]),
    );
    const left = (await tablesWith(fixture.database, MARKER)).map((name) => name.replace(/_s\d+$/, ''));
    expect([...new Set(left)]).toEqual(['log_batch']);
    const places = report.remains.filter(({ where }) => where.startsWith('log '));
    expect(places.map(({ where }) => where).toSorted()).toEqual([
      expect.stringMatching(/^log bad\[\d\]@0$/),
      expect.stringMatching(/^log waiting\[\d\]@0$/),
    ]);
    expect(places.every((place) => Date.parse(place.until ?? '') > Date.now())).toBe(true);
    expect(await app.get(HalfMessageOperations).show(half.id)).toMatchObject({
      state: 'rolled-back',
      messages: [],
    });
    seen.length = 0;
    await apps.pop()?.close();
    await hurry();
    await start({});
    await until(() => seen.some(({ text }) => text === 'other waiting'), 'the other one waits no more');
    expect(seen.filter(({ text }) => text.includes(MARKER))).toEqual([]);
  });

  test('only the message with the given id is erased; encrypted keys are found', async () => {
    const app = await start({ cipher: cipherOf('k1'), encryptKeys: true });
    const { id } = await publish(app, 'bad', 'one', { key: 'same' });
    await publish(app, 'bad', 'two', { key: 'other' });
    await publish(app, 'notes', 'result', { key: 'kept', id: '01A1FE9F-F3E8-7764-B6CB-0012F109D604' });
    await until(async () => (await count('dead_letter')) === 2 && seen.length === 3, 'all are handled');
    const { erasure, deadLetters } = app.get(Waybill);
    const first = await erasure.erase({ messageId: id }, ASKED);
    expect(first.done).toEqual(expect.arrayContaining([{ where: 'dead letters', rows: 1 }]));
    expect((await deadLetters.list()).map(({ state }) => state).toSorted()).toEqual(['discarded', 'open']);
    const second = await erasure.erase({ key: 'other', topic: 'notes' }, ASKED);
    expect(second.done).toEqual([]);
    const third = await erasure.erase({ key: 'other' }, ASKED);
    expect(third.done).toEqual(expect.arrayContaining([{ where: 'dead letters', rows: 1 }]));
    expect(await deadLetters.count({ states: ['open'] })).toBe(0);
    const results = await erasure.erase({ messageId: '01a1fe9f-f3e8-7764-b6cb-0012f109d604' }, ASKED);
    expect(results.done).toEqual(expect.arrayContaining([{ where: 'results of guards', rows: 1 }]));
    await expect(erasure.erase({ messageId: 'x' }, ASKED)).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
    });
  });
});

test('open dead letters are removed when retention says so, and stay otherwise', async () => {
  const app = await start({});
  await publish(app, 'bad', 'first', { key: 'same' });
  await until(async () => (await count('dead_letter')) === 1, 'it is a dead letter');
  const stay = new DeadLetterRetention(fixture.database, { closedMs: 0 });
  await stay.runOnce();
  expect(await app.get(DeadLetters).count()).toBe(1);
  const retention = new DeadLetterRetention(fixture.database, { openMs: 1 });
  await until(async () => {
    await retention.runOnce();
    return (await app.get(DeadLetters).count()) === 0;
  }, 'it is removed');
  expect(retention.expired).toBe(1);
});
