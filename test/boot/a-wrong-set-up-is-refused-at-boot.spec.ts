import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { PostgresTooOldError, type SqlSession } from '@waybill/kernel';
import {
  getWaybillToken,
  Waybill,
  WaybillHealthIndicator,
  WaybillModule,
  type WaybillModuleOptions,
  WaybillServer,
} from '@waybill/nestjs';
import { assertMigrated } from '@waybill/schema';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';

@Controller()
class Handler {
  @EventPattern<string>('orders')
  handle(): void {}
}

describe('a wrong set-up', () => {
  let fixture: Fixture;
  let empty: TestDatabase;
  beforeAll(async () => {
    fixture = await Fixture.create();
    empty = await testDatabase('empty');
  });
  afterAll(async () => {
    await empty.drop();
    await fixture.close();
  });

  const boot = async (
    options: WaybillModuleOptions,
    controllers: (new () => object)[] = [],
  ): Promise<void> => {
    const module = await Test.createTestingModule({
      imports: [WaybillModule.forRoot(options)],
      controllers,
    }).compile();
    module.useLogger(false);
    const app = module.createNestMicroservice({ strategy: module.get(WaybillServer) });
    try {
      await app.listen();
    } finally {
      await app.close().catch(() => undefined);
    }
  };
  const database = (): WaybillModuleOptions['database'] => ({ connectionString: fixture.url });

  test('lists every problem of the options', async () => {
    const options = {
      databse: {},
      group: 'a b',
      topics: { 'x y': {} },
      database: { connectionString: 'mysql://x', schema: 'A' },
    };
    const error = await boot(options as unknown as WaybillModuleOptions).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'CONFIGURATION_INVALID' });
    expect((error as { problems: string[] }).problems).toEqual([
      'there is no option "databse", did you mean database?',
      'database.connectionString must be a string that begins with postgresql://',
      expect.stringContaining('database.schema'),
      expect.stringContaining('group must be'),
      expect.stringContaining('"x y" is not usable'),
    ]);
  });

  test.each<[string, () => WaybillModuleOptions, string]>([
    ['a relay option', () => ({ database: database(), relay: { leaseMs: 1 } }), 'CONFIGURATION_INVALID'],
    [
      'an outbox option',
      () => ({ database: database(), outbox: { maxMessageBytes: 0 } }),
      'CONFIGURATION_INVALID',
    ],
    [
      'a retention option',
      () => ({ database: database(), retention: { log: { bucketMs: -1 } } }),
      'CONFIGURATION_INVALID',
    ],
    [
      'a lease too short',
      () => ({ database: database(), group: 'g', consumer: { leaseMs: 1_000, heartbeatMs: 900 } }),
      'CONFIGURATION_INVALID',
    ],
    ['no group', () => ({ database: database() }), 'CONFIGURATION_INVALID'],
    [
      'a database without tables',
      () => ({ database: { connectionString: empty.connectionString }, group: 'g' }),
      'MIGRATION_REQUIRED',
    ],
    [
      'an unreachable database',
      () => ({ database: { connectionString: 'postgresql://u:p@127.0.0.1:1/x' }, group: 'g' }),
      'DATABASE_UNAVAILABLE',
    ],
    [
      'outbox and log in two databases',
      () => ({ database: database(), bus: { connectionString: empty.connectionString }, group: 'g' }),
      'MIGRATION_REQUIRED',
    ],
  ])('%s is refused', async (_, options, code) => {
    await expect(boot(options(), [Handler])).rejects.toMatchObject({ code });
  });

  test('a server older than PostgreSQL 14 is refused', async () => {
    const old: SqlSession = {
      schema: 'waybill',
      run: () => Promise.resolve([{ versionNumber: 130_014, version: '13.14' }] as never[]),
    };
    await expect(assertMigrated(old, 'service')).rejects.toBeInstanceOf(PostgresTooOldError);
  });

  test('a process with relay: false publishes but moves nothing; a second, named instance does, and both report their health', async () => {
    const module = await Test.createTestingModule({
      imports: [
        WaybillModule.forRoot({ database: database(), relay: false }),
        WaybillModule.forRootAsync({
          name: 'relaying',
          useFactory: () => ({ database: database(), relay: { pollMaxMs: 10 } }),
        }),
      ],
    }).compile();
    module.useLogger(false);
    expect(module.get<Waybill>(getWaybillToken(Waybill)).relay).toBeUndefined();
    expect(module.get(WaybillServer).transportId).not.toBe(
      module.get<WaybillServer>(getWaybillToken(WaybillServer, 'relaying')).transportId,
    );
    await module.init();
    await fixture.transaction((client) =>
      module.get(Waybill).outbox.publish(client, { topic: 'orders', payload: { n: 1 } }),
    );
    await waitUntil(async () => (await fixture.log()).length === 1, {
      describe: 'the named instance has moved it',
    });
    for (const name of ['default', 'relaying']) {
      const health = await module
        .get<WaybillHealthIndicator>(getWaybillToken(WaybillHealthIndicator, name))
        .isHealthy('messages');
      expect(health['messages']).toMatchObject({ status: 'up', outboxWaiting: 0, problems: [] });
    }
    await module.close();
    const after = await module
      .get<WaybillHealthIndicator>(getWaybillToken(WaybillHealthIndicator))
      .isHealthy();
    expect(after['waybill']).toMatchObject({ status: 'down' });
  });
});
