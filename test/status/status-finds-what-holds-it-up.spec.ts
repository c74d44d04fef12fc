import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { waitUntil } from '@waybill/testing';
import pg from 'pg';
import { Fixture } from '../support/fixture.js';
import { sectionOf, statusOf, type StatusPage, statusText } from '../support/status.js';

let fixture: Fixture;
let other: pg.Client;
let pid: number;
beforeEach(async () => {
  fixture = await Fixture.create();
  other = new pg.Client({ connectionString: fixture.url, application_name: 'reporting' });
  await other.connect();
  pid = (await other.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid as number;
});
afterEach(async () => {
  await other.end();
  await fixture.close();
});

const page = (...options: string[]): Promise<StatusPage> => statusOf([fixture.url], ...options);
const holdUp = (all: StatusPage, kind: string, of = pid): StatusPage['holdUps'][number] | undefined =>
  all.holdUps.find((found) => found.kind === kind && (found.pid === undefined || found.pid === of));

test('a backlog, and a transaction that has published and stays open: its pid, its age, its locks, no literal', async () => {
  await fixture.publish(1);
  await other.query('begin');
  await fixture.outbox.publish(other, { topic: 'orders', payload: { n: 2 } });
  await other.query(`select 'secret-word', 4711 /* hidden */ where 'it''s' <> $tag$another secret$tag$`);

  expect((await page()).holdUps).toEqual([]);
  const { text, code } = await statusText([fixture.url], '--transaction-age', '0');
  expect(code).toBe(1);
  expect(text).toMatch(/^waiting +relay .*1 message waiting/m);
  expect(text).toMatch(
    new RegExp(
      `^stuck +service, bus +session ${pid} of \\w+ \\(reporting\\), idle in transaction; transaction open for `,
      'm',
    ),
  );
  expect(text).toContain(`select pg_terminate_backend(${pid});`);
  expect(text).toContain('statement: select ?, ? where ? <> ?');
  expect(text).not.toMatch(/secret|4711|hidden/);

  const all = await page('--transaction-age', '0');
  expect(holdUp(all, 'transaction')).toMatchObject({
    where: 'both',
    state: 'stuck',
    application: 'reporting',
    sessionState: 'idle in transaction',
    ageMs: expect.any(Number),
    locks: [expect.stringMatching(/^outbox_s\d RowExclusiveLock$/)],
    blocks: [],
    text: expect.stringContaining('what it publishes waits for its commit'),
  });
  expect(sectionOf(all, 'rings')).toMatchObject({
    state: 'waiting',
    text: expect.stringContaining(`a slot of outbox cannot be emptied: session ${pid} holds a lock on it`),
  });
  await other.query('rollback');
  expect((await page('--transaction-age', '0')).holdUps).toEqual([]);
});

test('a prepared transaction: its name, its owner, and how to end it', async () => {
  await other.query('begin');
  await fixture.outbox.publish(other, { topic: 'orders', payload: { n: 1 } });
  await other.query(`prepare transaction 'it''s mine'`);
  try {
    expect(holdUp(await page('--transaction-age', '0'), 'prepared')).toMatchObject({
      name: "it's mine",
      state: 'stuck',
      locks: [expect.stringMatching(/^outbox_s\d RowExclusiveLock$/)],
      advice: expect.stringContaining(`rollback prepared 'it''s mine'`),
    });
    await other.query('begin');
    const blocked = other.query('lock table waybill.outbox in access exclusive mode');
    await waitUntil(async () => (await page()).holdUps.some(({ kind }) => kind === 'blocked'), {
      describe: 'a session waits for it',
    });
    const all = await page();
    expect(holdUp(all, 'blocked')).toMatchObject({
      blockedBy: [0],
      text: expect.stringContaining('a prepared transaction'),
    });
    expect(holdUp(all, 'prepared')).toMatchObject({ state: 'waiting', blocks: [pid] });
    await fixture.database.pool.query(`rollback prepared 'it''s mine'`);
    await blocked;
    await other.query('rollback');
  } finally {
    await fixture.database.pool.query(`rollback prepared 'it''s mine'`).catch(() => {});
  }
});

test('a relay that a table lock blocks: the page comes all the same, and names both sessions', async () => {
  await fixture.publish(1);
  await other.query('begin');
  await other.query('lock table waybill.outbox in access exclusive mode');
  const relaying = fixture.moveAll();
  await waitUntil(async () => (await page()).holdUps.some(({ kind }) => kind === 'blocked'), {
    describe: 'the relay waits',
  });
  const all = await page();
  const blocked = all.holdUps.find(({ kind }) => kind === 'blocked');
  expect(blocked).toMatchObject({
    application: 'waybill',
    blockedBy: [pid],
    text: expect.stringMatching(/waits for \d+ s for outbox\w* \(AccessShareLock\), blocked by session/),
  });
  expect(holdUp(all, 'transaction')).toMatchObject({
    blocks: [blocked?.pid],
    locks: expect.arrayContaining(['outbox AccessExclusiveLock']),
    query: 'lock table waybill.outbox in access exclusive mode',
  });
  expect(sectionOf(all, 'relay')).toMatchObject({
    state: 'stuck',
    figures: null,
    text: expect.stringContaining('another session has locked its tables'),
  });
  expect(sectionOf(all, 'sagas')).toMatchObject({ state: 'ok' });
  expect((await statusText([fixture.url])).code).toBe(1);
  await other.query('rollback');
  await relaying;
  const after = await page();
  expect(after.holdUps).toEqual([]);
  expect(sectionOf(after, 'relay').figures).toMatchObject({ waiting: 0 });
});

test('a replication slot that nothing reads', async () => {
  const name = `left_${process.pid}`;
  await fixture.database.pool.query(`select pg_create_physical_replication_slot($1, true)`, [name]);
  try {
    expect((await page()).holdUps).toContainEqual(
      expect.objectContaining({
        kind: 'slot',
        name,
        state: 'waiting',
        retainedBytes: expect.any(Number),
        advice: expect.stringContaining(`select pg_drop_replication_slot('${name}');`),
      }),
    );
  } finally {
    await fixture.database.pool.query('select pg_drop_replication_slot($1)', [name]);
  }
});
