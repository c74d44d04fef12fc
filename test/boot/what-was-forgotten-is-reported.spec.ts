import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { Controller, type INestApplication, Injectable, type Type } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { createProgram } from '@waybill/cli';
import { Saga, WaybillModule, type WaybillModuleOptions, WaybillServer } from '@waybill/nestjs';
import { saga } from '@waybill/saga';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';

let fixture: Fixture;
const running: INestApplication[] = [];
beforeAll(async () => {
  fixture = await Fixture.create({ 'orders.placed': {}, 'stock.moved': {} });
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
});
afterAll(() => fixture.close());

@Controller()
class Orders {
  @EventPattern<string>('orders.placed')
  take(@Payload() _order: unknown): void {}
}

@Controller()
class Misspelt {
  @EventPattern<string>('order.placd')
  take(@Payload() _order: unknown): void {}

  @EventPattern<string>('returns.*')
  takeBack(@Payload() _order: unknown): void {}
}

@Injectable()
class NoController {
  @EventPattern<string>('orders.placed')
  take(@Payload() _order: unknown): void {}
}

@Saga()
class Selling {
  readonly sell = saga('orders.sell')
    .local('sell', { run: async () => {} })
    .build();
}

interface Made {
  readonly app: INestApplication;
  readonly warnings: readonly string[];
}

async function make(
  parts: { controllers?: Type[]; providers?: Type[] },
  options: Partial<WaybillModuleOptions> = {},
): Promise<Made> {
  const warnings: string[] = [];
  const logger = { debug() {}, info() {}, error() {}, warn: (text: string) => void warnings.push(text) };
  const module = await Test.createTestingModule({
    imports: [
      WaybillModule.forRoot({
        database: { connectionString: fixture.url },
        group: 'shop',
        logger,
        ...options,
      }),
    ],
    ...parts,
  }).compile();
  const app = module.createNestApplication();
  app.useLogger(false);
  running.push(app);
  return { app, warnings };
}

const connect = (app: INestApplication): unknown =>
  app.connectMicroservice({ strategy: app.get(WaybillServer) });
const said = ({ warnings }: Made, what: RegExp): Promise<void> =>
  waitUntil(() => warnings.some((warning) => what.test(warning)), { describe: `the warning ${what}` });

test('connectMicroservice is missing', async () => {
  const made = await make({ controllers: [Orders] });
  await made.app.init();
  await said(
    made,
    /this process has handler Orders\.take \(orders\.placed\) but does not consume\. Call app\.connectMicroservice/,
  );
});

test('startAllMicroservices is missing', async () => {
  const made = await make({ controllers: [Orders] });
  connect(made.app);
  await made.app.init();
  await said(
    made,
    /this process has .* Orders\.take .* but does not consume\. Call await app\.startAllMicroservices\(\)/,
  );
  expect(made.warnings.join()).not.toContain('connectMicroservice');
});

test('no process runs the sagas', async () => {
  const made = await make({ providers: [Selling] });
  await made.app.init();
  await said(made, /this process has 1 sagas but does not consume\. Call app\.connectMicroservice/);
});

test('the controller is not registered', async () => {
  const made = await make({});
  connect(made.app);
  await made.app.init();
  await made.app.startAllMicroservices();
  await said(made, /the application has no handlers.*controllers/);
});

test('a class with handlers is a provider, not a controller', async () => {
  const made = await make({ controllers: [Orders], providers: [NoController] });
  await made.app.init();
  await said(made, /handler NoController\.take \(orders\.placed\): .*`controllers`/);
  expect(made.warnings.join()).not.toContain('Orders.take (orders.placed):');
});

test("a handler's topic does not exist: the nearest is named", async () => {
  const made = await make({ controllers: [Orders, Misspelt] });
  connect(made.app);
  await made.app.init();
  await made.app.startAllMicroservices();
  await said(
    made,
    /topic order\.placd, which Misspelt\.take handles, does not exist: did you mean orders\.placed\?/,
  );
  await said(made, /no topic matches returns\.\*, which Misspelt\.takeBack handles/);
  expect(made.warnings.join()).not.toContain('Orders.take');
});

test('SIGTERM is not handled', async () => {
  const made = await make({ controllers: [Orders] });
  connect(made.app);
  await made.app.init();
  await made.app.startAllMicroservices();
  await said(made, /SIGTERM .*app\.enableShutdownHooks\(\)/);
});

test('no group reads a topic: reported once by the process that relays, and by waybill doctor', async () => {
  await fixture.topics.create('parcels.sent');
  const made = await make({ controllers: [Orders] });
  connect(made.app);
  await made.app.init();
  await made.app.startAllMicroservices();
  await fixture.publish(1, 'a', 'parcels.sent');
  await fixture.publish(2, 'a', 'orders.placed');
  await said(made, /topic parcels\.sent holds messages, but no consumer group reads it/);
  expect(made.warnings.filter((warning) => warning.includes('holds messages'))).toHaveLength(1);
  await made.app.close();
  await fixture.publish(3, 'a', 'orders.placed');
  await fixture.moveAll();
  let text = '';
  const program = createProgram({ write: (part) => (text += part) });
  await program.parseAsync(['--database-url', fixture.url, 'doctor'], { from: 'user' });
  expect(text).toMatch(
    /^warning {2}consumers .*no group reads parcels\.sent; no process consumes for shop \(\d+ messages\)/m,
  );
});

test('nothing was forgotten: nothing is reported', async () => {
  const made = await make({ controllers: [Orders] });
  made.app.enableShutdownHooks();
  connect(made.app);
  await made.app.init();
  await made.app.startAllMicroservices();
  // The others of this suite, started later, have logged their warnings by then.
  const other = await make({ controllers: [Misspelt] }, { group: 'other' });
  connect(other.app);
  await other.app.init();
  await other.app.startAllMicroservices();
  await said(other, /order\.placd/);
  expect(made.warnings.filter((warning) => !warning.includes('parcels.sent'))).toEqual([]);
});
