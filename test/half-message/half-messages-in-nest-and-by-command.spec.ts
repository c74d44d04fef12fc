import 'reflect-metadata';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Injectable, type INestApplicationContext, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { createProgram } from '@waybill/cli';
import {
  HalfMessageCheck,
  HalfMessageOperations,
  HalfMessages,
  type HalfMessageVerdict,
  type HalfToCheck,
  WaybillHealthIndicator,
  WaybillModule,
  type WaybillModuleOptions,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture, numbersOf } from '../support/fixture.js';
import { LocalLedger, order } from '../support/half-operations.js';

@Injectable()
class Charges {
  private readonly verdict: HalfMessageVerdict = 'commit';

  @HalfMessageCheck('orders')
  async check(_half: HalfToCheck): Promise<HalfMessageVerdict> {
    return this.verdict;
  }

  @HalfMessageCheck({ group: 'payments' })
  checkOthers(): HalfMessageVerdict {
    return 'unknown';
  }
}

@Injectable()
class OtherCharges {
  @HalfMessageCheck('orders')
  check(): HalfMessageVerdict {
    return 'rollback';
  }
}

let fixture: Fixture;
let ledger: LocalLedger;
const apps: INestApplicationContext[] = [];
beforeEach(async () => {
  fixture = await Fixture.create({ orders: {}, invoices: {} });
  ledger = await LocalLedger.create();
});
afterEach(async () => {
  process.exitCode = undefined;
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await ledger.close();
  await fixture.close();
});

const start = async (
  providers: Type[],
  options: Partial<WaybillModuleOptions> = {},
): Promise<INestApplicationContext> => {
  const imports = [
    WaybillModule.forRoot({
      database: { connectionString: ledger.url },
      bus: { connectionString: fixture.busUrl },
      group: 'payments',
      halfMessages: {
        checkImmunityMs: 0,
        checkIntervalMs: 1,
        checkMax: 2,
        check: { pollMs: 20, retryMs: 10 },
      },
      ...options,
    }),
  ];
  const app = await Test.createTestingModule({ imports, providers }).compile();
  apps.push(app);
  app.useLogger(false);
  return app.init();
};

/** What the command prints, line by line. */
async function half(...args: string[]): Promise<string[]> {
  let printed = '';
  const program = createProgram({ write: (text) => (printed += text) });
  await program.parseAsync([...fixture.urlArguments, 'half', ...args], { from: 'user' });
  return printed.trimEnd().split('\n');
}

test('a Nest application executes half messages around its own database, and its providers check others', async () => {
  const app = await start([Charges]);
  const halves = app.get(HalfMessages);
  await halves.executeWithBarrier(
    order(1),
    'default',
    (tx: pg.PoolClient) => tx.query('insert into done values (1)'),
    // It must not be checked before it has ended.
    { checkImmunityMs: 60_000 },
  );
  await halves.prepare(order(2));
  const { id } = await halves.prepare({ topic: 'invoices', payload: { n: 3 } });
  const operations = app.get(HalfMessageOperations);
  await waitUntil(async () => (await operations.show(id)).state === 'undecided', {
    describe: 'it is undecided',
  });
  await waitUntil(async () => (await operations.stats()).open === 1, { describe: 'the other is committed' });
  await waitUntil(async () => (await fixture.sentLog()).length === 2, { describe: 'both are on the bus' });
  expect(numbersOf(await fixture.sentLog())).toEqual([1, 2]);
  expect(await ledger.done()).toEqual([1]);
  expect((await app.get(WaybillHealthIndicator).isHealthy())['waybill']).toMatchObject({
    status: 'degraded',
    halfMessagesOpen: 1,
    halfMessagesUndecided: 1,
    halfMessagesUndecidedAgeMs: expect.any(Number),
    halfMessagesFailing: 0,
    halfMessagesLastFailure: null,
    halfMessageChecks: expect.objectContaining({ commit: 1, unknown: 2, undecided: 1 }),
  });
});

test('boot refuses two checks for one topic; without a group nothing is prepared', async () => {
  await expect(start([Charges, OtherCharges])).rejects.toThrow(
    'Charges.check and OtherCharges.check both check topic orders',
  );
  await expect(start([Charges], { group: undefined } as never)).rejects.toThrow('has no group');
  const app = await start([], { group: undefined } as never);
  await expect(app.get(HalfMessages).prepare(order(1))).rejects.toMatchObject({
    code: 'CONFIGURATION_INVALID',
  });
});

test('the command lists, shows, commits, rolls back and checks again, and records who decided', async () => {
  const app = await start([Charges], {
    bus: undefined,
    ...fixture.moduleOptions,
  } as never);
  const halves = app.get(HalfMessages);
  const ids: string[] = [];
  for (const n of [1, 2, 3]) ids.push((await halves.prepare({ topic: 'invoices', payload: { n } })).id);
  const operations = app.get(HalfMessageOperations);
  await waitUntil(async () => (await operations.stats()).undecided === 3, { describe: 'all are undecided' });
  const [first = '', second = '', third = ''] = ids;
  await app.close();
  const lines = await half('list', '--state', 'undecided', '--group', 'payments');
  expect(lines).toHaveLength(4);
  expect(lines[0]).toMatch(/^ID +STATE +PREPARED +GROUP +TOPIC +KEY +MESSAGES +CHECKS +RESULT$/);
  expect(lines[1]).toMatch(
    new RegExp(`^${first} +undecided +\\S+ +payments +invoices +- +1 +2 of 2 +unknown$`),
  );
  const listed = JSON.parse((await half('list', '--state', 'undecided', '--json')).join('')) as object[];
  expect(listed).toHaveLength(3);
  expect(listed[0]).toMatchObject({ id: first, state: 'undecided', group: 'payments' });
  await expect(half('list', '--group', 'payment')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(half('list', '--state', 'lost')).rejects.toThrow('states must be an array of prepared');
  expect(await half('commit', first)).toEqual([
    expect.stringMatching(/would be committed; use --yes to do so$/),
  ]);
  const decision = ['--by', 'ann', '--because', 'the gateway shows the charge', '--yes'];
  expect(await half('commit', first, ...decision)).toEqual([`half message ${first} is committed`]);
  expect(await half('commit', first, '--yes')).toEqual([`half message ${first} was already committed`]);
  await expect(half('rollback', first, '--yes')).rejects.toMatchObject({ code: 'HALF_MESSAGE_DECIDED' });
  expect(await half('rollback', second, '--yes')).toEqual([`half message ${second} is rolled back`]);
  await half('check', third, '--by', 'bob', '--yes');
  const shown = (await half('show', first)).join('\n');
  expect(shown).toContain('committed');
  expect(shown).toContain('ann: commit, the gateway shows the charge');
  expect(shown).not.toContain('"n":1');
  expect((await half('show', third, '--payload')).join('\n')).toContain('{"n":3}');
  expect(await half('commit', third)).toEqual([
    expect.stringMatching(/would be committed; it is still being checked back: use --yes --force to do so$/),
  ]);
  await expect(half('commit', third, '--yes')).rejects.toMatchObject({
    code: 'HALF_MESSAGE_OPEN',
    message: expect.stringContaining('--force'),
  });
  expect(await half('commit', third, '--force', '--yes')).toEqual([`half message ${third} is committed`]);
  await expect(half('show', 'nothing')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(half('list', '--state', 'shut')).rejects.toThrow('states must be an array of prepared');
  expect(numbersOf(await fixture.sentLog('invoices'))).toEqual([1, 3]);
  const audited = await fixture.database.pool.query(
    'select stated_by, action from waybill.operator_action order by id',
  );
  expect(audited.rows.map(({ action }) => action as string)).toEqual([
    'commit',
    'rollback',
    'check',
    'commit',
  ]);
});
