import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { INestMicroservice } from '@nestjs/common';
import { createProgram } from '@waybill/cli';
import { newId } from '@waybill/kernel';
import {
  aesCipher,
  BarrierParticipant,
  type Codec,
  contextBytes,
  DeadLetters,
  ExternalEffects,
  HalfMessages,
  jsonCodec,
  LeaseGuard,
  Outbox,
  Recurring,
  SagaOperations,
  Sagas,
  WaybillClient,
  type WaybillModuleOptions,
  WaybillRecord,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { lastValueFrom } from 'rxjs';
import { Fixture } from '../support/fixture.js';
import { checked, cipherOf, Orders, seen, startShop } from '../support/secret-shop.js';
import { tablesWith } from '../support/stored-text.js';

const MARKER = 'M4rk3r-of-a-secret';
const ANN = { by: 'ann' };

let fixture: Fixture;
const apps: INestMicroservice[] = [];
beforeEach(async () => {
  fixture = await Fixture.create({});
  seen.length = 0;
  checked.length = 0;
});
afterEach(async () => {
  process.exitCode = undefined;
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await fixture.close();
});

const start = async (options: Partial<WaybillModuleOptions>): Promise<INestMicroservice> => {
  const app = await startShop(fixture, options);
  apps.push(app);
  return app;
};

const stop = async (app: INestMicroservice): Promise<void> => {
  apps.splice(apps.indexOf(app), 1);
  await app.close();
};

const publish = (
  app: INestMicroservice,
  topic: string,
  text: string,
  fields: object = {},
): Promise<unknown> =>
  fixture.transaction((tx) =>
    app.get(Outbox).publish(tx, {
      topic,
      key: `${MARKER}-key`,
      headers: { 'x-note': `${MARKER} note` },
      payload: { text },
      ...fields,
    }),
  );

/** A row that no relay can move: its topic has no such partition. */
const insertLost = (app: INestMicroservice): Promise<unknown> => {
  const message = { topic: 'quarantined', key: `${MARKER}-key`, payload: { text: `${MARKER} lost` } };
  const { id, topic, key, payload } = app.get(Outbox).encode(message);
  return fixture.database.pool.query(
    'insert into waybill.outbox (message_id, topic, key, payload, partition_number) values ($1, $2, $3, $4, 4000)',
    [id, topic, key, payload],
  );
};

const count = (from: string): Promise<number> => fixture.value(`select count(*)::int from waybill.${from}`);

const until = (claim: () => Promise<boolean> | boolean, what: string): Promise<void> =>
  waitUntil(claim, { describe: () => `${what}; seen: ${JSON.stringify(seen)}` });

const ended = async (app: INestMicroservice, key: string, text: string, shelf?: string) => {
  const data = { text, ...(shelf === undefined ? {} : { shelf }) };
  const { id } = await fixture.transaction((tx) =>
    app.get(Sagas).start(tx, app.get(Orders).place, { key, data }),
  );
  return app.get(Sagas).outcome(id, { timeoutMs: 10_000 });
};

/** Makes every feature of Waybill store a text with the marker. */
async function useEverything(app: INestMicroservice): Promise<void> {
  for (const topic of ['notes', 'leased', 'bad', 'waiting']) await publish(app, topic, `${MARKER} ${topic}`);
  await publish(app, 'notes', `${MARKER} later`, { delayMs: 3_600_000, timerToken: 'later' });
  await insertLost(app);
  const client = app.get(WaybillClient);
  const asked = new WaybillRecord({ text: `${MARKER} question` }, { key: `${MARKER}-asked` });
  expect(await lastValueFrom(client.send('ask', asked))).toEqual({ text: `answer to ${MARKER} question` });
  await expect(lastValueFrom(client.send('ask', { text: `fail ${MARKER}` }))).rejects.toMatchObject({
    code: 'REQUEST_FAILED',
    status: 'failed',
  });
  await app.get(Recurring).put('daily', {
    topic: 'notes',
    key: `${MARKER}-key`,
    headers: { 'x-note': `${MARKER} note` },
    payload: { text: `${MARKER} daily` },
    everyMs: 60_000,
  });
  await app.get(HalfMessages).prepare({ topic: 'halves', payload: { text: `${MARKER} half` } });
  const good = await ended(app, 'A-1', `${MARKER} rich`, 'shelf:1');
  expect(good).toMatchObject({ state: 'COMPLETED', data: { bill: `bill of ${MARKER} rich` } });
  expect(await ended(app, 'A-2', `poor ${MARKER}`)).toMatchObject({ state: 'COMPENSATED' });
  // The shelf is held by another saga, which is running: the command waits.
  await holdShelf();
  await fixture.transaction((tx) =>
    app.get(Sagas).start(tx, app.get(Orders).place, {
      key: 'A-3',
      data: { text: `${MARKER} patient`, shelf: 'shelf:1' },
    }),
  );
  await fixture.transaction((tx) =>
    app.get(Sagas).start(tx, app.get(Orders).call, { key: 'A-4', data: { text: `${MARKER} called` } }),
  );
  const once = { scope: 'test', id: 'lease' };
  for (const duplicate of [false, true])
    expect(await app.get(LeaseGuard).once(once, async () => `${MARKER} lease`)).toEqual({
      result: `${MARKER} lease`,
      duplicate,
    });
  const effect = { key: 'charge', attempt: async () => `${MARKER} charged`, query: undefined as never };
  for (let times = 0; times < 2; times += 1)
    expect(await app.get(ExternalEffects).run(effect)).toBe(`${MARKER} charged`);
  const gid = newId();
  for (const outcome of ['done', 'duplicate'])
    expect(
      await fixture.transaction((tx) =>
        app
          .get(BarrierParticipant)
          .call(tx, { gid, branch: 'b', op: 'action' }, async () => `${MARKER} barrier`),
      ),
    ).toEqual({ outcome, result: `${MARKER} barrier` });
}

/** Holds the shelf for a saga that does not end in this test. */
async function holdShelf(): Promise<void> {
  await until(async () => (await count('saga_lock')) === 0, 'the end of the first saga has let the shelf go');
  await fixture.database.pool.query(
    `insert into waybill.saga_lock (entity, saga_id, branch) values ('shelf:1', $1, 'reserve')`,
    [newId()],
  );
}

async function everythingIsStored(): Promise<void> {
  await until(
    async () =>
      (await count(`dead_letter where topic = 'bad'`)) === 1 &&
      (await count('parked_message')) === 1 &&
      (await count('timer where kind = 1')) === 1 &&
      (await count('timer where kind = 2')) === 1 &&
      (await count('outbox_quarantine')) === 1 &&
      (await count('saga_stash')) === 1 &&
      (await count('saga_call')) === 1 &&
      checked.length > 0 &&
      ['notes', 'leased', 'bad', 'waiting'].every((name) => seen.some(({ topic }) => topic === name)),
    'everything has been handled, or waits',
  );
}

test('no table holds any of the encrypted text, and everything works', async () => {
  const app = await start({ cipher: cipherOf('k1'), encryptKeys: true });
  await useEverything(app);
  await everythingIsStored();
  expect(await tablesWith(fixture.database, MARKER)).toEqual([]);
  const [note] = seen.filter(({ topic }) => topic === 'notes');
  const fields = { key: `${MARKER}-key`, note: `${MARKER} note` };
  expect(note).toEqual({ topic: 'notes', text: `${MARKER} notes`, ...fields });
  expect(checked[0]).toEqual({ text: `${MARKER} half` });
  // What waits can be handled later.
  await fixture.database.pool.query(`update waybill.timer set due_at = clock_timestamp()`);
  await app.get(DeadLetters).redrive(1, ANN);
  await until(
    () =>
      seen.some(({ text }) => text === `${MARKER} later`) &&
      seen.some(({ text }) => text === `${MARKER} daily`) &&
      seen.filter(({ topic }) => topic === 'bad').length === 2,
    'timers and the redriven message have arrived',
  );
  expect(seen.find(({ text }) => text === `${MARKER} daily`)).toMatchObject(fields);
  expect(await tablesWith(fixture.database, MARKER)).toEqual([]);
});

test('without a cipher the same texts are in the tables: the search finds them', async () => {
  const app = await start({});
  await useEverything(app);
  await everythingIsStored();
  const found = (await tablesWith(fixture.database, MARKER)).map((name) => name.replace(/_s\d+$/, ''));
  expect([...new Set(found)].toSorted()).toEqual(
    expect.arrayContaining([
      'barrier_result',
      'dead_letter',
      'guard_outcome',
      'half_message',
      'log_batch',
      'outbox',
      'outbox_quarantine',
      'parked_message',
      'recurring_message',
      'saga',
      'saga_call',
      'saga_ended',
      'saga_stash',
      'saga_transition',
      'timer',
    ]),
  );
});

describe('keys', () => {
  test('are rotated in the middle of a run: old ones decrypt what the new one does not', async () => {
    const before = await start({ cipher: cipherOf('k1'), encryptKeys: true });
    await publish(before, 'notes', 'later', { delayMs: 3_600_000 });
    await publish(before, 'waiting', 'first');
    await until(async () => (await count('parked_message')) === 1, 'one waits');
    await stop(before);
    const after = await start({ cipher: cipherOf('k1', 'k2'), encryptKeys: true });
    await publish(after, 'notes', 'now');
    await fixture.database.pool.query(`update waybill.timer set due_at = clock_timestamp()`);
    await fixture.database.pool.query(`update waybill.parked_message set due_at = clock_timestamp()`);
    await until(() => ['later', 'now'].every((text) => seen.some((one) => one.text === text)), 'both come');
    await stop(after);
    await start({ cipher: cipherOf('k2'), encryptKeys: true });
    // Nothing has been re-encrypted silently.
    const keys = await fixture.value<string>(
      `select string_agg(distinct convert_from(substring(payload from 8 for 2), 'UTF8'), ',')
         from waybill.outbox where topic = 'notes'`,
    );
    expect(keys).toBe('k1,k2');
  });

  test('that are missing make a message a dead letter at once, and a redrive succeeds when they are back', async () => {
    const sender = await start({ cipher: cipherOf('k1'), consumer: false });
    await publish(sender, 'notes', MARKER);
    await until(
      async () => (await fixture.value<number>('select count(*)::int from waybill_bus.log_batch')) > 0,
      'it is in the log',
    );
    await stop(sender);
    const wrong = await start({ cipher: cipherOf('k9') });
    await until(async () => (await count(`dead_letter`)) === 1, 'it is a dead letter');
    expect(seen).toEqual([]);
    const [letter] = await wrong.get(DeadLetters).list();
    expect(letter).toMatchObject({
      reason: 'payload-unreadable',
      errorClass: 'ContentUndecipherableError',
      attempts: 1,
    });
    expect(letter?.errorMessage).toContain('key k1 is not known here');
    expect(await wrong.get(DeadLetters).show(1)).toMatchObject({
      unreadable: expect.stringContaining('CONTENT_UNDECIPHERABLE'),
    });
    await expect(wrong.get(DeadLetters).edit(1, { payload: Buffer.from('{}') }, ANN)).rejects.toMatchObject({
      code: 'CONTENT_UNDECIPHERABLE',
    });
    await stop(wrong);
    const right = await start({ cipher: cipherOf('k1', 'k9') });
    await right.get(DeadLetters).redrive(1, ANN);
    await until(() => seen.some(({ text }) => text === MARKER), 'it is handled');
  });

  test('that are too short, or missing, are refused, and no error contains them', async () => {
    const secret = 'only-twenty-bytes-xx';
    const refused = (options: object): string => {
      try {
        aesCipher(options as never);
      } catch (error) {
        expect(error).toMatchObject({ code: 'CONFIGURATION_INVALID' });
        return String(error);
      }
      throw new Error('it was accepted');
    };
    const message = refused({ keys: { k1: secret }, encryptWith: 'k1' });
    expect(message).toContain('key k1 must be a secret of at least 32 bytes');
    expect(message).not.toContain(secret);
    expect(refused({ keys: { k1: 'k'.repeat(32) }, encryptWith: 'k2' })).toContain('encryptWith');
    expect(refused({ keys: {}, encryptWith: 'k1' })).toContain('encryptWith');
    expect(refused({ keys: { 'a b': 'k'.repeat(32) }, encryptWith: 'a b' })).toContain('its id');
    expect(refused({ keys: { k1: 'k'.repeat(32) }, encryptwith: 'k1' })).toContain(
      'did you mean encryptWith?',
    );
    for (const options of [{ cipher: {} }, { encryptKeys: true }, { encryptKeys: 'yes' }])
      await expect(() => startShop(fixture, options as never)).rejects.toMatchObject({
        code: 'CONFIGURATION_INVALID',
      });
  });
});

test('a ciphertext is refused under another id, key or topic', async () => {
  const app = await start({ cipher: cipherOf('k1') });
  await publish(app, 'notes', 'genuine');
  await until(() => seen.length === 1, 'the genuine one is handled');
  const copy = (id: string, topic: string, key: string): Promise<unknown> =>
    fixture.database.pool.query(
      `insert into waybill.outbox (message_id, topic, key, headers, payload)
       select ${id}, '${topic}', ${key}, headers, payload from waybill.outbox where topic = 'notes' limit 1`,
    );
  await copy('gen_random_uuid()', 'notes', 'key');
  await copy('message_id', 'leased', 'key');
  await copy('message_id', 'notes', `'other'`);
  await until(async () => (await count('dead_letter')) === 3, 'the copies are dead letters');
  const letters = await app.get(DeadLetters).list();
  expect(letters.map(({ errorClass }) => errorClass)).toEqual(Array(3).fill('ContentUndecipherableError'));
  expect(letters[0]?.errorMessage).toContain('it is not genuine here');
  expect(seen).toHaveLength(1);
});

test('a custom cipher is used for everything, with the context of each place', async () => {
  const kinds = new Set<string>();
  const mask = (bytes: Buffer, context: Parameters<typeof contextBytes>[0]): Buffer => {
    kinds.add(context.kind);
    return Buffer.from(bytes.map((byte) => byte ^ 0x5a));
  };
  const cipher = {
    keyId: 'mine',
    encrypt: mask,
    decrypt: (bytes: Buffer, _: string, context: Parameters<typeof contextBytes>[0]) => mask(bytes, context),
  };
  const app = await start({ cipher });
  await useEverything({ get: app.get.bind(app) } as INestMicroservice);
  await everythingIsStored();
  expect([...kinds].toSorted()).toEqual([
    'barrier-result',
    'effect-outcome',
    'lease-result',
    'message',
    'message-result',
    'saga',
  ]);
});

test('signatures cover what is stored, including commands and replies of sagas', async () => {
  const app = await start({
    cipher: cipherOf('k1'),
    encryptKeys: true,
    signing: { keys: { s1: 's'.repeat(32) }, signWith: 's1' },
  });
  await useEverything(app);
  await everythingIsStored();
  expect(await count(`dead_letter where error_code = 'SIGNATURE_INVALID'`)).toBe(0);
});

/** A codec that a user has written for a topic. */
const scrambled: Codec = {
  contentType: 'application/x-scrambled',
  encode: (payload) => Buffer.from(jsonCodec.encode(payload)).map((byte) => byte ^ 0x5a),
  decode: (bytes) => jsonCodec.decode(Buffer.from(bytes.map((byte) => byte ^ 0x5a))),
};

test('codecs of topics work for requests, sagas and waiting commands', async () => {
  const topics = ['notes', 'ask', 'shop.replies', 'shop.saga-replies', 'shop.reserve', 'shop.release'];
  const codecs = Object.fromEntries([...topics, 'shop.charge'].map((topic) => [topic, scrambled]));
  const app = await start({ codecs });
  const client = app.get(WaybillClient);
  expect(await lastValueFrom(client.send('ask', { text: MARKER }))).toEqual({ text: `answer to ${MARKER}` });
  await expect(lastValueFrom(client.send('ask', { text: `fail ${MARKER}` }))).rejects.toMatchObject({
    status: 'failed',
    remote: { code: 'HANDLER_NOT_RETRYABLE' },
  });
  expect(await ended(app, 'A-1', `${MARKER} rich`, 'shelf:1')).toMatchObject({
    state: 'COMPLETED',
    data: { bill: `bill of ${MARKER} rich` },
  });
  expect(await ended(app, 'A-2', `poor ${MARKER}`)).toMatchObject({ state: 'COMPENSATED' });
  await holdShelf();
  const { id } = await fixture.transaction((tx) =>
    app.get(Sagas).start(tx, app.get(Orders).place, {
      key: 'A-3',
      data: { text: `${MARKER} patient`, shelf: 'shelf:1' },
    }),
  );
  await until(async () => (await count('saga_stash')) === 1, 'the command waits');
  expect(await tablesWith(fixture.database, MARKER)).not.toContain('saga_stash');
  expect((await app.get(SagaOperations).show(id)).state).toBe('RUNNING');
});

test('the command shows encrypted data only with the cipher, and the audit of an edit has no payload', async () => {
  const app = await start({ cipher: cipherOf('k1'), encryptKeys: true });
  await publish(app, 'bad', MARKER);
  await insertLost(app);
  await until(
    async () => (await count('dead_letter')) === 1 && (await count('outbox_quarantine')) === 1,
    'both were set aside',
  );
  const { id } = await app.get(HalfMessages).prepare({ topic: 'halves', payload: { text: MARKER } });
  const saga = await ended(app, 'A-1', MARKER);
  const folder = await mkdtemp(join(tmpdir(), 'waybill-'));
  const file = join(folder, 'cipher.mjs');
  // The exported cipher is built here: a separate module could not load the sources.
  (globalThis as { secretShopCipher?: unknown }).secretShopCipher = cipherOf('k1');
  await writeFile(file, 'export default globalThis.secretShopCipher;\n');
  const command = async (...words: string[]): Promise<string> => {
    let printed = '';
    const program = createProgram({ write: (text) => (printed += text) });
    await program.parseAsync(['node', 'waybill', '--database-url', fixture.url, ...words]);
    return printed;
  };
  try {
    for (const words of [
      ['dlq', 'show', '1', '--payload'],
      ['outbox', 'quarantine', 'show', '1', '--payload'],
      ['half', 'show', id, '--payload'],
      ['saga', 'show', saga.id, '--payload'],
    ]) {
      const closed = await command(...words);
      expect(closed).toContain('(encrypted; give --cipher) CONTENT_UNDECIPHERABLE');
      expect(closed).toContain('it was encrypted with key k1, and no cipher is configured here');
      expect(closed).not.toContain(MARKER);
      expect(await command('--cipher', file, ...words)).toContain(MARKER);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  seen.length = 0;
  await app.get(DeadLetters).edit(1, { payload: Buffer.from(`{"text":"${MARKER} edited"}`) }, ANN);
  await until(() => seen.length === 1, 'the edited one is handled');
  expect(seen[0]).toMatchObject({ text: `${MARKER} edited`, note: `${MARKER} note` });
  const [action] = (await app.get(DeadLetters).actions(1)).filter((one) => one.action === 'edit');
  expect(action?.details).toMatchObject({
    before: { payloadSha256: expect.stringMatching(/^[0-9a-f]{64}$/), payloadBytes: expect.any(Number) },
  });
  expect(JSON.stringify(action)).not.toContain('"payload"');
  expect(await tablesWith(fixture.database, MARKER)).toEqual([]);
});
