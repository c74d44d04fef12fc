import 'reflect-metadata';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { Consumer, type Delivery, resolveSubscription } from '@waybill/consumer';
import { LeaseGuard, PostgresLeaseStore } from '@waybill/guard';
import { PgTransactionRunner } from '@waybill/kernel';
import { WaybillClient, type WaybillContext, WaybillModule, WaybillServer } from '@waybill/nestjs';
import { type Codec, Outbox } from '@waybill/outbox';
import { saga, sagaCommand, type SagaDefinition, tcc, tccBranch } from '@waybill/saga';
import { Recurring } from '@waybill/timer';
import { waitUntil } from '@waybill/testing';
import { lastValueFrom } from 'rxjs';
import { Fixture } from '../support/fixture.js';
import { note, SagaFloor } from '../support/saga/sagas.js';
import { timersOf } from '../support/timers.js';

const NAMES = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf'];
const headers = Object.fromEntries(NAMES.map((name) => [name, `of ${name}`]));

const quick = { timeoutMs: 60_000, delayMs: 20, maxDelayMs: 40 };

/** A saga of this name, with a step for each name, one that waits for a signal, and a branch for each. */
function sagaCalled(type: string): SagaDefinition<never, never> {
  let builder = saga<{ n: number }>(type) as never as ReturnType<typeof saga<{ n: number }>>;
  for (const name of NAMES) {
    builder = builder.step(name, {
      invoke: sagaCommand<{ n: number }, Record<string, unknown>>(name),
      with: ({ n }) => ({ n }),
      then: () => ({ [name]: name }),
      policy: quick,
    }) as never;
  }
  for (const name of NAMES) builder = builder.waitFor(`wait.${name}`, { signal: name }) as never;
  return builder.build() as never;
}

describe('names that every JavaScript object has', () => {
  const closing: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
  });

  test('are topics, groups, codecs, headers, keys, timers and locks like any other', async () => {
    const fixture = await Fixture.create(Object.fromEntries(NAMES.map((name) => [name, {}])));
    closing.push(() => fixture.close());
    const marked: Codec = {
      contentType: 'text/marked',
      encode: (payload) => Buffer.from(`marked ${JSON.stringify(payload)}`),
      decode: (bytes) => JSON.parse(bytes.toString().slice(7)) as unknown,
    };
    const outbox = new Outbox({ codecs: { ['__proto__']: marked } });
    const seen: Delivery[] = [];
    for (const group of NAMES) {
      const subscriptions = NAMES.map((topic) =>
        resolveSubscription(
          topic,
          (delivery) => Promise.resolve(void (group === '__proto__' && seen.push(delivery))),
          topic === '__proto__' ? { codec: marked } : {},
        ),
      );
      const { database, engine: log } = fixture;
      const transactions = new PgTransactionRunner(database) as never;
      const consumer = new Consumer({
        group,
        subscriptions,
        database,
        transactions,
        log,
      });
      await consumer.start();
      closing.push(() => consumer.stop());
    }
    for (const topic of NAMES)
      await fixture.transaction((tx) =>
        outbox.publish(tx, { topic, key: topic, payload: { topic }, headers, delayMs: 0, timerToken: topic }),
      );
    const { service } = timersOf(fixture);
    closing.push(() => service.stop());
    const recurring = new Recurring(fixture.database.session, (one) => outbox.encode(one), service);
    for (const name of NAMES)
      await recurring.put(name, {
        topic: name,
        payload: { topic: name },
        everyMs: 3_600_000,
        headers,
      });
    expect((await recurring.list()).map(({ name }) => name)).toEqual(NAMES.toSorted());
    await fixture.moveAll();
    service.start();
    await waitUntil(() => seen.length === NAMES.length, { describe: () => `${seen.length} deliveries` });
    for (const delivery of seen) {
      expect(delivery.payload).toEqual({ topic: delivery.topic });
      const own = Object.entries(delivery.headers).filter(([name]) => name !== 'content-type');
      expect(new Map(own)).toEqual(new Map(Object.entries(headers)));
    }
    const leases = new LeaseGuard(new PostgresLeaseStore(fixture.database.session));
    for (const name of NAMES)
      expect(await leases.once({ scope: name, id: name }, () => Promise.resolve(name))).toMatchObject({
        result: name,
      });
  });

  test('are sagas, steps, signals and branches like any other', async () => {
    const definitions = NAMES.map(sagaCalled);
    const tried = tcc<{ n: number }>(
      'tcc',
      Object.fromEntries(
        NAMES.map((name) => {
          const command = sagaCommand<{ n: number }, { ok: string }>(name);
          const with_ = ({ n }: { n: number }): { n: number } => ({ n });
          return [
            name,
            tccBranch({ try: command, confirm: command, cancel: command, with: with_, policy: quick }),
          ];
        }),
      ),
    );
    const floor = await SagaFloor.open([...definitions, tried as never]);
    closing.push(() => floor.close());
    await floor.carry();
    await floor.serve('stock', Object.fromEntries(NAMES.map((name) => [name, note(name, { ok: name })])));
    for (const definition of definitions) {
      const { id } = await floor.start(definition, '__proto__', { n: 1 } as never);
      for (const name of NAMES)
        await floor.fixture.transaction((tx) => floor.sagas.signal(tx, id, name, { from: name }));
      await floor.until(id, 'COMPLETED');
      const { instance } = await floor.operations.show(id);
      expect(Object.keys(instance.steps)).toEqual([...NAMES, ...NAMES.map((name) => `wait.${name}`)]);
    }
    const { id } = await floor.start(tried as never, 'k', { n: 1 } as never);
    await floor.until(id, 'COMPLETED');
    const { instance } = await floor.operations.show(id);
    const tries = (instance.data as { tries: object }).tries;
    expect(new Map(Object.entries(tries))).toEqual(new Map(NAMES.map((name) => [name, { ok: name }])));
  });

  test("are patterns of handlers and of a client's requests", async () => {
    const fixture = await Fixture.create(Object.fromEntries(NAMES.map((name) => [name, {}])));
    closing.push(() => fixture.close());
    const emitted: string[] = [];
    @Controller()
    class Answering {
      @MessagePattern<string>('constructor') a(@Payload() n: number) {
        return n + 1;
      }
      @MessagePattern<string>('toString') b(@Payload() n: number) {
        return n + 2;
      }
      @MessagePattern<string>('hasOwnProperty') c(@Payload() n: number) {
        return n + 3;
      }
      @MessagePattern<string>('valueOf') d(@Payload() n: number) {
        return n + 4;
      }
      @EventPattern<string>('__proto__') e(@Payload() n: number, @Ctx() ctx: WaybillContext) {
        emitted.push(`${n} ${String(ctx.headers['constructor'])}`);
      }
    }
    const module = await Test.createTestingModule({
      imports: [WaybillModule.forRoot({ database: { connectionString: fixture.url }, group: 'constructor' })],
      controllers: [Answering],
    }).compile();
    module.useLogger(false);
    const app = module.createNestMicroservice({ strategy: module.get(WaybillServer) });
    closing.push(() => app.close());
    await app.listen();
    const client = app.get(WaybillClient);
    const asked = ['constructor', 'toString', 'hasOwnProperty', 'valueOf'];
    const answers = await Promise.all(asked.map((name) => lastValueFrom(client.send<number>(name, 1))));
    expect(answers).toEqual([2, 3, 4, 5]);
    await fixture.transaction((tx) => fixture.outbox.publish(tx, { topic: '__proto__', payload: 7 }));
    await waitUntil(() => emitted.length > 0, { describe: 'the event arrives' });
    expect(emitted).toEqual(['7 undefined']);
  });

  test.each(NAMES)('the option %s is refused by name', (name) => {
    expect(() => new Outbox(JSON.parse(`{ "${name}": 1 }`) as object)).toThrow(
      `there is no option "${name}"`,
    );
  });
});
