import { afterEach, describe, expect, test } from '@jest/globals';
import { PgTransactionRunner, type Logger } from '@waybill/kernel';
import { Outbox } from '@waybill/outbox';
import {
  saga,
  sagaCommand,
  type SagaDefinition,
  SagaDefinitions,
  SagaEngine,
  Sagas,
  SagaLoop,
} from '@waybill/saga';
import { waitUntil } from '@waybill/testing';
import { note, SagaFloor } from '../support/saga/sagas.js';

const reserve = sagaCommand<object>('stock.reserve');
const hold = sagaCommand<object>('stock.hold');
const charge = sagaCommand<object>('payments.charge');
const ship = sagaCommand<object>('shipping.ship');
const step = (command: typeof reserve) => ({ invoke: command, with: () => ({}) });
const begin = () => saga<object>('order').waitFor('go', { timeoutMs: 600_000 });

const original = begin()
  .step('reserve', step(reserve))
  .step('charge', step(charge))
  .build() as unknown as SagaDefinition;

const CHANGES: [string, SagaDefinition, string][] = [
  ['a step is gone', begin().step('reserve', step(reserve)).build() as never, 'step charge is gone'],
  [
    'a step has another name',
    begin().step('take', step(reserve)).step('charge', step(charge)).build() as never,
    'step reserve is gone; step take is new',
  ],
  [
    'a step goes elsewhere',
    begin().step('reserve', step(hold)).step('charge', step(charge)).build() as never,
    'step reserve: action to stock.hold, after go was action to stock.reserve',
  ],
  [
    'steps are in another order',
    begin().step('charge', step(charge)).step('reserve', step(reserve)).build() as never,
    'step charge: action to payments.charge, after go was',
  ],
  [
    'a step is new',
    begin()
      .step('reserve', step(reserve))
      .step('charge', step(charge))
      .step('ship', step(ship))
      .build() as never,
    'step ship is new',
  ],
];

let floor: SagaFloor;
afterEach(() => floor.close());

/** Another process of the service, with other definitions. */
function release(
  definitions: readonly SagaDefinition[],
  options: ConstructorParameters<typeof SagaLoop>[1] = {},
): { service: SagaLoop; sagas: Sagas; said: string[] } {
  const said: string[] = [];
  const say = (text: string): void => void said.push(text);
  const logger: Logger = { debug: () => {}, info: () => {}, warn: say, error: say };
  const known = new SagaDefinitions(definitions);
  const outbox = new Outbox();
  const engine = new SagaEngine({ definitions: known, outbox, group: 'orders', logger });
  const transactions = new PgTransactionRunner(floor.database) as never;
  const service = new SagaLoop(
    { engine, definitions: known, transactions, logger },
    { pollMs: 20, ...options },
  );
  return { service, sagas: new Sagas({ engine, schema: 'waybill', outbox, transactions }), said };
}

async function begun(): Promise<string> {
  floor = await SagaFloor.open([
    original,
    saga<object>('other').waitFor('x', { timeoutMs: 200 }).build(),
  ] as never);
  await floor.fixture.topics.create('stock.hold', {});
  await floor.service.assertUsable();
  const { id } = await floor.start(original as never, 'A-1', {});
  return id;
}

describe.each(CHANGES)('where %s under its version', (_, changed, what) => {
  test('a release does not start while sagas of the old steps are running, and reports what differs', async () => {
    await begun();
    await expect(release([changed]).service.assertUsable()).rejects.toThrow(what);
    await expect(release([changed]).service.assertUsable()).rejects.toThrow(
      '1 of order version 1 began with other steps',
    );
  });
});

test('a changed definition may leave its sagas to operators; time-outs of others still fire, without a busy loop', async () => {
  const id = await begun();
  const [, changed] = CHANGES[0] as [string, SagaDefinition, string];
  const other = saga<object>('other').waitFor('x', { timeoutMs: 200 }).build();
  const next = release([changed, other as never], { onChangedDefinition: 'stuck' });
  await next.service.assertUsable();
  expect((await floor.operations.show(id)).reason).toContain('step charge is gone');
  expect((await floor.operations.show(id)).state).toBe('STUCK');
  // It has something due all the time.
  await floor.database.pool.query(`update waybill.saga set wake_at = now() - interval '1 hour'`);
  const commits = async (): Promise<number> =>
    floor.fixture.value<number>(
      'select xact_commit::int from pg_stat_database where datname = current_database()',
    );
  next.service.start();
  const before = await commits();
  const timed = await floor.start(other as never, 'T-1', {});
  await floor.until(timed.id, 'COMPENSATED');
  await next.service.stop();
  expect((await commits()) - before).toBeLessThan(400);
  // The old steps are back: it continues.
  await floor.serve('stock', { 'stock.reserve': note('reserve') });
  await floor.serve('payments', { 'payments.charge': note('charge') });
  await floor.carry();
  await floor.fixture.transaction((client) => floor.sagas.signal(client, id, 'go'));
  await floor.until(id, 'COMPLETED');
  expect(await floor.deeds(id)).toEqual(['reserve', 'charge']);
});

test('a signal that reaches a release with other steps waits, and counts when the release is rolled back', async () => {
  const id = await begun();
  const [, changed] = CHANGES[0] as [string, SagaDefinition, string];
  const stop = await floor.consume('orders', release([changed]).service.subscriptions());
  await floor.fixture.transaction((client) => floor.sagas.signal(client, id, 'go'));
  await waitUntil(
    async () => (await floor.fixture.value<number>('select count(*)::int from waybill.parked_message')) === 1,
    { describe: 'the signal waits' },
  );
  await stop();
  await floor.serve('stock', { 'stock.reserve': note('reserve') });
  await floor.serve('payments', { 'payments.charge': note('charge') });
  await floor.carry();
  await waitUntil(async () => (await floor.operations.show(id)).state === 'COMPLETED', {
    describe: 'the saga has ended',
    timeoutMs: 40_000,
  });
});

test('a changed definition replaces one that no running saga uses', async () => {
  floor = await SagaFloor.open([original] as never);
  await floor.service.assertUsable();
  const [, changed] = CHANGES[0] as [string, SagaDefinition, string];
  await release([changed]).service.assertUsable();
});

test('a patched step changes nothing, and the release may be rolled back', async () => {
  const id = await begun();
  const withAudit = begin()
    .step('reserve', step(reserve))
    .step('audit', { ...step(hold), patched: 'audit' })
    .step('charge', step(charge))
    .build() as unknown as SagaDefinition;
  const next = release([withAudit]);
  await next.service.assertUsable();
  const young = await floor.fixture.transaction((client) =>
    next.sagas.start(client, withAudit as never, { key: 'A-2', data: {} }),
  );
  await floor.service.assertUsable();
  await floor.serve('stock', { 'stock.reserve': note('reserve'), 'stock.hold': note('audit') });
  await floor.serve('payments', { 'payments.charge': note('charge') });
  await floor.consume('orders', next.service.subscriptions());
  next.service.start();
  for (const each of [id, young.id])
    await floor.fixture.transaction((client) => floor.sagas.signal(client, each, 'go'));
  await floor.until(id, 'COMPLETED');
  await floor.until(young.id, 'COMPLETED');
  await next.service.stop();
  expect(await floor.deeds(id)).toEqual(['reserve', 'charge']);
  expect(await floor.deeds(young.id)).toEqual(['reserve', 'audit', 'charge']);
  // The older release leaves alone the sagas with the change, and continues those without.
  const [later] = [
    await floor.fixture.transaction((client) =>
      next.sagas.start(client, withAudit as never, { key: 'A-3', data: {} }),
    ),
  ];
  await expect(
    floor.runner.run({
      work: (transaction) => floor.engine.tell(transaction as never, later.id, { type: 'due' }),
      timeoutMs: 5_000,
    }),
  ).rejects.toThrow('the saga began with change audit');
});

describe('versions that a process does not have', () => {
  const second = saga<object>('order', { version: 2 }).waitFor('go').build() as unknown as SagaDefinition;

  test('keep it from starting, unless it is configured to wait or another process has them', async () => {
    await begun();
    const isLate = `update waybill.saga_definition set seen_at = now() - interval '1 hour'`;
    const beside = [saga<object>('beside').waitFor('go').build() as unknown as SagaDefinition];
    const young = release(beside);
    await young.service.assertUsable();
    expect(young.said.join()).toContain('leaves them to another');
    await floor.database.pool.query(isLate);
    await expect(release(beside).service.assertUsable()).rejects.toThrow('1 of order version 1 are active');
    // A process that has another version has dropped this one, even if another process still has it.
    await expect(release([second]).service.assertUsable()).rejects.toThrow('1 of order version 1 are active');
    const waiting = release([second], { onUnknownVersion: 'wait' });
    await waiting.service.assertUsable();
    expect(waiting.said.join()).toContain('they wait until one does');
    expect(await waiting.service.unserved()).toEqual([{ type: 'order', version: 1, sagas: 1 }]);
    expect(await release([]).service.unserved()).toEqual([{ type: 'order', version: 1, sagas: 1 }]);
    const whole = release([second, original]);
    expect(await whole.service.unserved()).toEqual([]);
    await whole.service.assertUsable();
    // Another process registered the version a moment ago.
    expect(await waiting.service.unserved()).toEqual([]);
  });

  test('are not started if no process has registered them; neither are children', async () => {
    await begun();
    const start = (definition: SagaDefinition) =>
      floor.fixture.transaction((client) =>
        floor.sagas.start(client, definition as never, { key: 'X', data: {} }),
      );
    await expect(start(second)).rejects.toMatchObject({ code: 'SAGA_NOT_REGISTERED' });
    const parent = saga<object>('parent')
      .child('child', { saga: second as never, key: () => 'C', with: () => ({}) })
      .build() as unknown as SagaDefinition;
    const boot = release([parent]);
    await boot.service.assertUsable();
    expect(boot.said.join()).toContain('which no process has registered');
    const startParent = () =>
      floor.fixture.transaction((client) =>
        boot.sagas.start(client, parent as never, { key: 'P', data: {} }),
      );
    await expect(startParent()).rejects.toMatchObject({ code: 'SAGA_NOT_REGISTERED' });
    // Another process has it: the first one may start it.
    await release([second], { onUnknownVersion: 'wait' }).service.assertUsable();
    await start(second);
  });

  test('still refuse unknown signals by name', async () => {
    const id = await begun();
    const { sagas } = release([]);
    await expect(floor.fixture.transaction((client) => sagas.signal(client, id, 'no'))).rejects.toMatchObject(
      { code: 'SAGA_SIGNAL_UNKNOWN' },
    );
    await floor.fixture.transaction((client) => sagas.signal(client, id, 'go'));
  });
});
