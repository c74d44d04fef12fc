import 'reflect-metadata';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Controller, type INestMicroservice, type Type } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { createProgram } from '@waybill/cli';
import { newId } from '@waybill/kernel';
import {
  httpCommand,
  Saga,
  saga,
  SagaCommand,
  sagaCommand,
  SagaOperations,
  SagaOngoingError,
  SagaParticipant,
  SagaRejectedError,
  Sagas,
  type WaybillContext,
  WaybillModule,
  type WaybillModuleOptions,
  WaybillHealthIndicator,
  WaybillServer,
  Outbox,
  Waybill,
} from '@waybill/nestjs';
import { migrate } from '@waybill/schema';
import { testDatabase, waitUntil } from '@waybill/testing';
import pg from 'pg';
import { Fixture } from '../support/fixture.js';

interface Order {
  readonly orderId: string;
  readonly pence: number;
}

const reserve = sagaCommand<{ orderId: string }, { shelf: number }>('stock.reserve');
const release = sagaCommand<{ orderId: string }>('stock.release');
const charge = sagaCommand<{ pence: number }, { chargeId: string }>('payments.charge');

@Saga()
class PlaceOrder {
  readonly first = saga<Order>('orders.place', { version: 1 })
    .step('charge', { invoke: charge, with: ({ pence }) => ({ pence }) })
    .build();
  readonly second = saga<Order>('orders.place', { version: 2 })
    .step('reserve', {
      invoke: reserve,
      with: ({ orderId }) => ({ orderId }),
      then: ({ shelf }) => ({ shelf }),
      undo: { invoke: release, with: ({ orderId }) => ({ orderId }) },
    })
    .step('charge', {
      invoke: charge,
      with: ({ pence }) => ({ pence }),
      then: ({ chargeId }) => ({ chargeId }),
      pivot: true,
    })
    .build();
}

@SagaParticipant()
class Stock {
  @SagaCommand(reserve)
  async reserve(
    @Payload() { orderId }: { orderId: string },
    @Ctx() ctx: WaybillContext<pg.PoolClient>,
  ): Promise<{ shelf: number }> {
    await ctx.saga?.hold('shelf:7');
    await ctx.transaction.query('insert into effect (consumer, key) values ($1, $2)', ['reserve', orderId]);
    return { shelf: 7 };
  }

  @SagaCommand(release)
  async release(
    @Payload() { orderId }: { orderId: string },
    @Ctx() ctx: WaybillContext<pg.PoolClient>,
  ): Promise<void> {
    await ctx.transaction.query('insert into effect (consumer, key) values ($1, $2)', ['release', orderId]);
  }
}

/** Unaware of sagas. */
@Controller()
class Payments {
  @MessagePattern<string>('payments.charge')
  charge(@Payload() { pence }: { pence: number }): { chargeId: string } {
    if (pence > 1_000) throw new SagaRejectedError('too dear');
    return { chargeId: `c${pence}` };
  }
}

const refund = sagaCommand<{ pence: number }>('payments.refund');
const ship = sagaCommand<{ orderId: string }>('shipping.ship');

@Saga()
class PayFirst {
  readonly definition = saga<Order>('orders.pay-first')
    .step('charge', {
      invoke: charge,
      with: ({ pence }) => ({ pence }),
      undo: { invoke: refund, with: ({ pence }) => ({ pence }) },
    })
    .step('ship', { invoke: ship, with: ({ orderId }) => ({ orderId }) })
    .build();
}

/** Has its own database. */
@SagaParticipant()
class Ledger {
  @SagaCommand(charge)
  async charge(
    @Payload() { pence }: { pence: number },
    @Ctx() ctx: WaybillContext<pg.PoolClient>,
  ): Promise<{ chargeId: string }> {
    await ctx.saga?.hold('till');
    await ctx.transaction.query('insert into entry values ($1, $2)', ['charge', pence]);
    return { chargeId: 'c1' };
  }

  @SagaCommand(refund)
  async refund(
    @Payload() { pence }: { pence: number },
    @Ctx() { transaction }: WaybillContext<pg.PoolClient>,
  ): Promise<void> {
    await transaction.query('insert into entry values ($1, $2)', ['refund', pence]);
  }
}

@SagaParticipant()
class Shipping {
  @SagaCommand(ship)
  ship(@Payload() { orderId }: { orderId: string }): void {
    if (orderId === 'A-2') throw new SagaRejectedError('no lorry');
  }
}

let fixture: Fixture;
let gateway: Server | undefined;
const apps: INestMicroservice[] = [];
beforeEach(async () => {
  fixture = await Fixture.create({});
});
afterEach(async () => {
  process.exitCode = undefined;
  await Promise.all(apps.splice(0).map((app) => app.close()));
  gateway?.close();
  gateway = undefined;
  await fixture.close();
});

const start = async (
  group: string,
  parts: { providers?: Type[]; controllers?: Type[] },
  options: Partial<WaybillModuleOptions> = {},
): Promise<INestMicroservice> => {
  const module = await Test.createTestingModule({
    imports: [WaybillModule.forRoot({ ...fixture.moduleOptions, group, ...options })],
    ...parts,
  }).compile();
  module.useLogger(false);
  const app = module.createNestMicroservice({ strategy: module.get(WaybillServer) });
  apps.push(app);
  await app.listen();
  return app;
};

const ended = async (app: INestMicroservice, id: string): Promise<string> => {
  let state = '';
  await waitUntil(
    async () => {
      ({ state } = await app.get(SagaOperations).show(id));
      return state !== 'RUNNING' && state !== 'COMPENSATING';
    },
    { describe: () => `the saga has ended; it is ${state}` },
  );
  return state;
};

const place = (app: INestMicroservice, order: Order): Promise<{ id: string; created: boolean }> =>
  fixture.transaction((client) =>
    app.get(Sagas).start(client, app.get(PlaceOrder).second, { key: order.orderId, data: order }),
  );

const command = async (...words: string[]): Promise<string> => {
  let printed = '';
  const program = createProgram({ write: (text) => (printed += text) });
  await program.parseAsync(['node', 'waybill', ...fixture.urlArguments, 'saga', ...words]);
  return printed;
};

test('a saga of a provider runs over decorated participants and over plain handlers that are unaware of it', async () => {
  await start('stock', { controllers: [Stock] });
  const app = await start('orders', { providers: [PlaceOrder] });
  const good = await place(app, { orderId: 'A-1', pence: 900 });
  const holder = (): Promise<string | null> =>
    fixture.value('select max(saga_id::text) from waybill.saga_lock');
  await waitUntil(async () => (await holder()) === good.id, { describe: 'the first saga holds the shelf' });
  // The first saga is running: the second waits for the shelf, until an operator gives it up.
  const waiting = await place(app, { orderId: 'A-2', pence: 9_000 });
  await waitUntil(async () => (await fixture.value('select count(*)::int from waybill.saga_stash')) === 1, {
    describe: 'the command waits for the shelf',
  });
  await command('cancel', waiting.id, '--by', 'ada', '--because', 'taking too long', '--yes');
  expect(await ended(app, waiting.id)).toBe('CANCELLED');
  await start('payments', { controllers: [Payments] });
  expect(await ended(app, good.id)).toBe('COMPLETED');
  expect((await app.get(SagaOperations).show(good.id)).instance.data).toMatchObject({
    shelf: 7,
    chargeId: 'c900',
  });
  // Its end has released the shelf.
  await waitUntil(async () => (await holder()) === null, { describe: 'the shelf is free' });
  // The parked command comes after its compensation, and must do nothing then.
  const effects = await fixture.database.pool.query('select consumer, key from effect order by id');
  expect(effects.rows).toEqual([{ consumer: 'reserve', key: 'A-1' }]);
});

test('a participant with its own database replies by its own outbox, and is undone there', async () => {
  const elsewhere = await testDatabase('ledger');
  await migrate({ connectionString: elsewhere.connectionString, part: 'service' });
  const ledger = new pg.Pool({ connectionString: elsewhere.connectionString });
  await ledger.query('create table entry (kind text, pence int)');
  try {
    await start(
      'payments',
      { controllers: [Ledger] },
      {
        database: { connectionString: elsewhere.connectionString },
        bus: { connectionString: fixture.url },
      },
    );
    const app = await start('orders', { providers: [PayFirst] });
    const begin = (key: string, pence: number) =>
      fixture.transaction((client) =>
        app.get(Sagas).start(client, app.get(PayFirst).definition, { key, data: { orderId: key, pence } }),
      );
    const good = await begin('A-1', 300);
    const holders = async (): Promise<unknown[]> =>
      (await ledger.query<{ id: string }>('select saga_id as id from waybill.saga_lock')).rows.map(
        ({ id }) => id,
      );
    await waitUntil(async () => (await holders())[0] === good.id, { describe: 'the first holds the till' });
    // The till is held by the first one until it is shipped.
    const bad = await begin('A-2', 200);
    const waits = async (): Promise<boolean> =>
      (await ledger.query('select from waybill.saga_stash')).rows.length === 1;
    await waitUntil(waits, { describe: 'the second charge waits for the till' });
    await start('shipping', { controllers: [Shipping] });
    expect(await ended(app, good.id)).toBe('COMPLETED');
    expect(await ended(app, bad.id)).toBe('COMPENSATED');
    const { rows } = await ledger.query(
      'select kind, sum(pence)::int as pence from entry group by 1 order by 1',
    );
    expect(rows).toEqual([
      { kind: 'charge', pence: 500 },
      { kind: 'refund', pence: 200 },
    ]);
    // After its compensation it has released the till.
    expect(await holders()).toEqual([]);
    // Its replies, and the command that waited for the till and was sent again.
    const sent = await ledger.query('select distinct topic from waybill.outbox order by topic');
    expect(sent.rows).toEqual([{ topic: 'orders.saga-replies' }, { topic: 'payments.charge' }]);
  } finally {
    await Promise.all(apps.splice(0).map((app) => app.close()));
    await ledger.end();
    await elsewhere.drop();
  }
});

test.each(['the log is in it', 'the log is in another one'] as const)(
  'a participant with a database replies later to a command, in the transaction of the outcome: %s',
  async (where) => {
    const own = await testDatabase('later');
    const controls: Readonly<Record<string, string>>[] = [];
    @SagaParticipant()
    class Slow {
      @SagaCommand(charge)
      charge(@Payload() _command: unknown, @Ctx() { control }: WaybillContext): { chargeId: string } {
        controls.push(control);
        throw new SagaOngoingError({ hasEffect: false });
      }
    }
    try {
      await migrate({ ...own, part: 'service' });
      const elsewhere = where === 'the log is in another one';
      const options: Partial<WaybillModuleOptions> = elsewhere
        ? {
            database: { connectionString: own.connectionString },
            bus: { connectionString: fixture.url },
          }
        : {};
      const payments = await start('payments', { controllers: [Slow] }, options);
      const app = await start('orders', { providers: [PayFirst] });
      await start('shipping', { controllers: [Shipping] });
      const { id } = await fixture.transaction((client) =>
        app
          .get(Sagas)
          .start(client, app.get(PayFirst).definition, { key: 'A-1', data: { orderId: 'A-1', pence: 5 } }),
      );
      await waitUntil(async () => controls.length > 0, { describe: () => 'the command has arrived' });
      const [control = {}] = controls;
      const waybill = payments.get(Waybill);
      const done = { status: 'done', payload: { chargeId: 'c5' } } as const;
      const answer = () => waybill.transaction(() => waybill.sagas.participant.reply(control, done));
      await answer();
      await expect(answer()).rejects.toMatchObject({ code: 'SAGA_COMMAND_OVER' });
      expect(await ended(app, id)).toBe('COMPLETED');
      await expect(waybill.sagas.participant.reply(control, { status: 'ongoing' })).rejects.toMatchObject({
        code: 'TRANSACTION_REQUIRED',
      });
    } finally {
      await Promise.all(apps.splice(0).map((app) => app.close()));
      await own.drop();
    }
  },
);

test('the message that a saga has ended never reaches a handler of any kind', async () => {
  const seen: string[] = [];
  @Controller()
  class Everything {
    @EventPattern('any.event')
    event(_payload: unknown): void {
      seen.push('event');
    }

    @MessagePattern('any.message')
    message(_payload: unknown): void {
      seen.push('message');
    }
  }
  const app = await start(
    'everything',
    { controllers: [Everything] },
    { topics: { 'any.event': {}, 'any.message': {} } },
  );
  const outbox = app.get(Outbox);
  const id = newId();
  const control = { 'waybill-saga-id': id, 'waybill-saga-branch': '01', 'waybill-saga-op': 'release' };
  for (const topic of ['any.event', 'any.message'])
    await fixture.transaction(async (client) => {
      await outbox.publishEncoded(client, [
        outbox.encodeControl({ topic, key: 'k', control, payload: null }),
      ]);
      await outbox.publish(client, { topic, key: 'k', payload: {} });
    });
  await waitUntil(async () => seen.length === 2, {
    describe: () => `both handlers ran, seen: ${seen.join()}`,
  });
  expect(new Set(seen)).toEqual(new Set(['event', 'message']));
});

test('the command lists, shows, draws and decides about sagas', async () => {
  const app = await start('orders', { providers: [PlaceOrder] });
  const { id } = await place(app, { orderId: 'A-1', pence: 9_000 });
  expect(await command('list', '--type', 'orders.place', '--key', 'A-')).toMatch(
    new RegExp(`^ID .*\\n${id} +RUNNING +\\S+ +orders.place v2 +A-1 +1 +-\\n$`),
  );
  expect(await command('list', '--state', 'STUCK')).toBe('');
  expect(await command('list', '--state', 'STUCK', '--json')).toBe('[]\n');
  expect(JSON.parse(await command('list', '--json', '--older-than', '0'))).toMatchObject([
    { id, key: 'A-1' },
  ]);
  expect(await command('list', '--older-than', '1h')).toBe('');
  await expect(command('list', '--state', 'GONE')).rejects.toThrow('states must be an array of RUNNING');
  for (const words of [
    ['show', 'A-1'],
    ['retry', 'A-1', 'charge', '--yes'],
    ['cancel', 'A-1'],
  ])
    await expect(command(...words)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await start('stock', { controllers: [Stock] });
  await start('payments', { controllers: [Payments] });
  expect(await ended(app, id)).toBe('COMPENSATED');
  const shown = await command('show', id, '--payload');
  expect(shown).toContain('-> reserve action attempt 1 to stock.reserve {"orderId":"A-1"}');
  expect(shown).toContain('<- reserve action attempt 1 done {"shelf":7}');
  expect(shown).toContain('<- charge action attempt 1 rejected: too dear');
  const drawn = await command('show', id, '--mermaid');
  expect(drawn).toMatch(/^sequenceDiagram\n/);
  expect(drawn).toContain('S->>P1: reserve action');
  expect(drawn).toContain('note over S: COMPENSATED');
  await expect(command('retry', id, 'charge', '--yes')).rejects.toMatchObject({ code: 'SAGA_ORDER_REFUSED' });
  await expect(command('show', '01a1fe9f-f3e8-7764-b6cb-0012f109d604')).rejects.toMatchObject({
    code: 'NOT_FOUND',
  });
});

test('recorded sagas are replayed with a changed definition, and the difference is shown', async () => {
  await start('stock', { controllers: [Stock] });
  await start('payments', { controllers: [Payments] });
  const app = await start('orders', { providers: [PlaceOrder] });
  const { id } = await place(app, { orderId: 'A-1', pence: 900 });
  expect(await ended(app, id)).toBe('COMPLETED');
  const folder = await mkdtemp(join(tmpdir(), 'waybill-'));
  const file = join(folder, 'recorded.jsonl');
  await writeFile(file, await command('show', id, '--json'));
  const same = fileURLToPath(new URL('../programs/saga/sagas-same.mjs', import.meta.url));
  const changed = fileURLToPath(new URL('../programs/saga/sagas-changed.mjs', import.meta.url));
  expect(await command('verify', '--definitions', same, '--recorded', file)).toBe(
    '1 sagas were replayed, 0 would behave differently\n',
  );
  expect(process.exitCode).toBeUndefined();
  await rm(folder, { recursive: true });
  const difference = await command('verify', '--definitions', changed);
  expect(difference).toContain(`orders.place ${id} differs at revision 2`);
  expect(difference).toContain('recorded: charge/action#1 to payments.charge {"pence":900}');
  expect(difference).toContain('now:      charge/action#1 to payments.charge {"pence":900,"currency":"GBP"}');
  expect(process.exitCode).toBe(1);
});

test('a service that has dropped a version with running sagas refuses to start', async () => {
  const app = await start('orders', { providers: [PlaceOrder] });
  await place(app, { orderId: 'A-1', pence: 900 });
  @Saga()
  class OnlyFirst {
    readonly first = new PlaceOrder().first;
  }
  await expect(start('orders', { providers: [OnlyFirst] })).rejects.toThrow(
    /1 of orders\.place version 2 are active/,
  );
});

test('a step may be an HTTP endpoint: responses, rejections and failures', async () => {
  const calls: { key: string | undefined; body: string }[] = [];
  gateway = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      calls.push({ key: request.headers['idempotency-key'] as string, body });
      const { pence } = JSON.parse(body) as { pence: number };
      if (calls.length === 1) response.writeHead(503).end();
      else if (pence > 1_000) response.writeHead(409).end(JSON.stringify({ message: 'too dear' }));
      else response.writeHead(201).end(JSON.stringify({ chargeId: 'h1' }));
    });
  });
  await new Promise<void>((listening) => gateway?.listen(0, '127.0.0.1', listening));
  const { port } = gateway.address() as AddressInfo;
  const endpoint = httpCommand<{ pence: number }, { chargeId: string }>(`http://127.0.0.1:${port}/charges`);
  const definition = saga<Order>('orders.http')
    .step('charge', {
      invoke: endpoint,
      with: ({ pence }) => ({ pence }),
      then: ({ chargeId }) => ({ chargeId }),
    })
    .build();
  @Saga()
  class OverHttp {
    readonly definition = definition;
  }
  const app = await start(
    'orders',
    { providers: [OverHttp] },
    { sagas: { http: { privateHosts: [`127.0.0.1:${port}`] } } },
  );
  const begin = (order: Order) =>
    fixture.transaction((client) =>
      app.get(Sagas).start(client, definition, { key: order.orderId, data: order }),
    );
  const good = await begin({ orderId: 'A-1', pence: 900 });
  expect(await ended(app, good.id)).toBe('COMPLETED');
  expect(calls.map(({ key }) => key)).toEqual([`${good.id}/charge/action`, `${good.id}/charge/action`]);
  const bad = await begin({ orderId: 'A-2', pence: 9_000 });
  expect(await ended(app, bad.id)).toBe('COMPENSATED');
  expect((await app.get(SagaOperations).show(bad.id)).reason).toBe('step charge was rejected: too dear');
});

test('sagas with a wrong set-up are refused, and the health reports a stuck one', async () => {
  @Saga()
  class Empty {}
  @Saga()
  class Again {
    readonly definition = new PlaceOrder().second;
  }
  await expect(start('orders', { providers: [Empty] })).rejects.toThrow(/Empty has no property/);
  await expect(start('orders', { providers: [PlaceOrder, Again] })).rejects.toThrow(
    /Again defines version 2 of orders\.place, which is already defined/,
  );
  @SagaParticipant()
  class Other {
    @SagaCommand(release)
    release(): void {}
  }
  await expect(start('stock', { controllers: [Stock, Other] })).rejects.toThrow(
    /stock\.release has two handlers/,
  );
  const app = await start('orders', { providers: [PlaceOrder] });
  const { id } = await place(app, { orderId: 'A-1', pence: 900 });
  await fixture.database.pool.query('update waybill.saga set state = 3 where id = $1', [id]);
  expect(await app.get(WaybillHealthIndicator).isHealthy()).toMatchObject({
    waybill: { status: 'degraded', sagasStuck: 1 },
  });
});

test('a service that has dropped its last saga does not start while sagas are running, or reports that they wait', async () => {
  const app = await start('orders', { providers: [PlaceOrder] });
  await place(app, { orderId: 'A-1', pence: 900 });
  await app.close();
  await fixture.database.pool.query(`update waybill.saga_definition set seen_at = now() - interval '1 hour'`);
  await expect(start('orders', {})).rejects.toThrow(/1 of orders\.place version 2 are active/);
  const waiting = await start('orders', {}, { sagas: { onUnknownVersion: 'wait' } });
  expect(await waiting.get(WaybillHealthIndicator).isHealthy()).toMatchObject({
    waybill: {
      status: 'degraded',
      sagasWithoutDefinition: [{ type: 'orders.place', version: 2, sagas: 1 }],
    },
  });
});
