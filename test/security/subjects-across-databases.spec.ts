import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { INestMicroservice } from '@nestjs/common';
import { createProgram } from '@waybill/cli';
import {
  DeadLetters,
  Erasure,
  MessageIdGuard,
  Sagas,
  Waybill,
  WaybillClient,
  type WaybillModuleOptions,
  WaybillRecord,
} from '@waybill/nestjs';
import type { TestDatabase } from '@waybill/testing';
import { waitUntil } from '@waybill/testing';
import pg from 'pg';
import { lastValueFrom } from 'rxjs';
import { migratedDatabase } from '../support/migrated-database.js';
import { cipherOf, Handlers, Orders, seen, Shop, startShop } from '../support/secret-shop.js';
import { tablesWith } from '../support/stored-text.js';

const MARKER = 'M4rk3r-of-a-person';
const ANN = 'customer-1';
const ASKED = { by: 'ann', reason: 'she asked for it' };
const OPERATOR = { by: 'ann' };

/** The databases: of a service that publishes, of one that handles, and of the bus. */
let maker: TestDatabase;
let taker: TestDatabase;
let bus: TestDatabase;
const apps: INestMicroservice[] = [];

beforeEach(async () => {
  [maker, taker, bus] = [
    await migratedDatabase('maker'),
    await migratedDatabase('taker'),
    await migratedDatabase('bus'),
  ];
  seen.length = 0;
});
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
  for (const database of [maker, taker, bus]) await database.drop();
});

async function query<Row extends pg.QueryResultRow>(
  { connectionString }: TestDatabase,
  text: string,
): Promise<Row[]> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

const count = async (database: TestDatabase, from: string): Promise<number> =>
  (await query<{ n: number }>(database, `select count(*)::int as n from ${from}`))[0]?.n ?? -1;

async function start(
  own: TestDatabase,
  group: string,
  options: Partial<WaybillModuleOptions> = {},
): Promise<INestMicroservice> {
  const parts =
    own === maker
      ? { controllers: [], providers: [Orders] }
      : { controllers: [Handlers, Shop], providers: [] };
  const at = { connectionString: bus.connectionString };
  const all = { bus: at, group, cipher: cipherOf('k1'), halfMessages: {}, ...options };
  const app = await startShop({ url: own.connectionString }, all, parts);
  apps.push(app);
  return app;
}

const publish = (
  app: INestMicroservice,
  topic: string,
  text: string,
  fields: object = { subject: ANN },
): Promise<unknown> =>
  app
    .get(Waybill)
    .transaction(async (_, outbox) =>
      outbox.publish({ topic, payload: { text: `${MARKER} ${text}` }, ...fields }),
    );

const texts = (): string[] => seen.map(({ text }) => text.replace(`${MARKER} `, ''));

const until = (claim: () => Promise<boolean> | boolean, what: string): Promise<void> =>
  waitUntil(claim, { describe: () => `${what}; seen: ${JSON.stringify(texts())}` });

const command = async (database: TestDatabase, ...words: string[]): Promise<string> => {
  let printed = '';
  const program = createProgram({ write: (text) => (printed += text) });
  const urls = ['--database-url', database.connectionString, '--bus-url', bus.connectionString];
  await program.parseAsync([...urls, ...words], { from: 'user' });
  return printed;
};

test('what a service publishes for a subject works in another one as in its own, until the subject is erased', async () => {
  const [making, taking] = [await start(maker, 'maker'), await start(taker, 'taker')];
  const id = '01a1fe9f-f3e8-7764-b6cb-0012f109d604';
  await publish(making, 'notes', 'note', { subject: ANN, id });
  for (const topic of ['leased', 'bad', 'waiting']) await publish(making, topic, topic);
  const letters = taking.get(DeadLetters);
  await until(
    async () =>
      (await letters.count()) === 1 &&
      (await count(taker, 'waybill.parked_message')) === 1 &&
      seen.length === 4,
    'all are handled, or wait',
  );

  // A request, and its reply from the other database.
  const asked = new WaybillRecord({ text: `${MARKER} question` }, { subject: ANN });
  expect(await lastValueFrom(making.get(WaybillClient).send('ask', asked))).toEqual({
    text: `answer to ${MARKER} question`,
  });

  // A saga here, its participant there.
  const sagas = making.get(Sagas);
  const saga = await making
    .get(Waybill)
    .transaction((tx) =>
      sagas.start(tx, making.get(Orders).place, { key: 'A-1', data: { text: MARKER }, subject: ANN }),
    );
  await until(async () => (await count(maker, 'waybill.saga_ended')) === 1, 'the saga has ended');
  expect((await sagas.outcome(saga.id)).data).toMatchObject({ bill: `bill of ${MARKER}` });

  // A dead letter is shown, redriven, and edited into a message of this service.
  const [letter = { id: 0 }] = await letters.list();
  expect(await letters.show(letter.id)).toMatchObject({ unreadable: null });
  expect(String((await letters.show(letter.id)).payload)).toContain('bad');
  await letters.redrive(letter.id, OPERATOR);
  await until(async () => texts().filter((text) => text === 'bad').length === 2, 'it comes again');
  await until(async () => (await letters.list({ states: ['open'] })).length === 1, 'it is dead again');
  const [again = { id: 0 }] = await letters.list({ states: ['open'] });
  const payload = Buffer.from(JSON.stringify({ text: `${MARKER} edited` }));
  await letters.edit(again.id, { to: 'topic', payload }, OPERATOR);
  await until(() => texts().includes('edited'), 'the edited one comes');
  await until(async () => (await letters.list({ states: ['open'] })).length === 1, 'it is dead as well');

  const resultOf = (): Promise<unknown> =>
    taking.get(Waybill).transaction(async (tx) => {
      const work = (): never => {
        throw new Error('it has not been handled');
      };
      return (await taking.get(MessageIdGuard).once(tx as never, 'taker/notes/Handlers.note', id, work))
        .result;
    });
  expect(await resultOf()).toEqual({ text: `${MARKER} note` });
  for (const { connectionString } of [maker, taker, bus]) {
    const pool = new pg.Pool({ connectionString });
    expect(await tablesWith({ pool } as never, MARKER)).toEqual([]);
    await pool.end();
  }
  // Keys are copied to the bus only.
  expect(await count(taker, 'waybill.subject_key')).toBe(1);
  expect(await count(bus, 'waybill_bus.subject_key')).toBe(2);

  // From the commit on no process can read what the two services have published.
  const erase = ['erase', '--subject', ANN, '--because', 'she asked for it', '--yes'];
  expect(await command(maker, ...erase)).toMatch(
    /\nerased: 1 keys of the subject\n.*\nerased: 2 keys of the subject in the log\n/,
  );
  expect(await count(bus, 'waybill_bus.subject_key')).toBe(0);
  const erased = { unreadable: expect.stringContaining('SUBJECT_ERASED') };
  for (const { id: each } of await letters.list({ states: ['redriving', 'redriven', 'replaced'] }))
    expect(await letters.show(each)).toMatchObject(erased);
  expect(await command(taker, 'dlq', 'show', String(letter.id), '--payload')).toContain('SUBJECT_ERASED');
  await expect(sagas.outcome(saga.id)).rejects.toMatchObject({ code: 'SUBJECT_ERASED' });
  // What the other service keeps for the subject is gone when it is erased there.
  expect(await resultOf()).toEqual({ text: `${MARKER} note` });
  expect(await command(taker, ...erase)).toMatch(/\nerased: 1 keys of the subject\nremains: /);
  await expect(resultOf()).rejects.toMatchObject({ code: 'SUBJECT_ERASED' });
  await expect(publish(taking, 'notes', 'more')).rejects.toMatchObject({ code: 'SUBJECT_ERASED' });
});

test('messages of a subject that was erased before they were handed over are dropped in another service', async () => {
  const making = await start(maker, 'maker', { relay: false });
  await publish(making, 'bad', 'gone');
  await publish(making, 'notes', 'gone', { subject: ANN, delayMs: 1 });
  await making.get(Erasure).erase({ subject: ANN }, ASKED);
  await publish(making, 'bad', 'of another', { subject: 'customer-2' });
  const taking = await start(taker, 'taker');
  await start(maker, 'maker');
  const letters = taking.get(DeadLetters);
  await until(async () => (await letters.count()) === 1, 'the other’s is handled');
  const dropped = 'waybill.delivery_mark where verdict = 5';
  await until(async () => (await count(taker, dropped)) === 2, 'both others are dropped');
  expect(texts()).toEqual(['of another']);
});

test('a bus that does not answer when a key is read costs a message no attempt', async () => {
  const broken = `create or replace function waybill_bus.read_subject_key(key_id uuid, of_subject bytea, out wrapped bytea,
      out erased boolean) language plpgsql security definer as $$
    begin
      perform nextval('public.tried');
      perform pg_terminate_backend(pg_backend_pid());
    end $$`;
  const [whole] = await query<{ def: string }>(
    bus,
    `select pg_get_functiondef('waybill_bus.read_subject_key(uuid, bytea)'::regprocedure) as def`,
  );
  await query(bus, `create sequence public.tried; ${broken}`);
  const [making, taking] = [await start(maker, 'maker'), await start(taker, 'taker')];
  await publish(making, 'notes', 'late');
  const tried = async (): Promise<number> =>
    Number((await query<{ n: string }>(bus, 'select last_value as n from public.tried'))[0]?.n);
  await until(async () => (await tried()) > 4, 'it was tried more often than there are attempts');
  await query(bus, whole?.def ?? '');
  await until(() => texts().includes('late'), 'it is handled');
  expect(await taking.get(DeadLetters).count()).toBe(0);
});
