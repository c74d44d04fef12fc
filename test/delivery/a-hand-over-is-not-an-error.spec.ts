import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Controller, type INestMicroservice } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { Waybill, WaybillModule, WaybillServer } from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';

const PARTITIONS = 8;

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.create({ orders: { partitions: PARTITIONS } });
});
afterAll(() => fixture.close());

@Controller()
class Orders {
  @EventPattern<string>('orders')
  take(@Payload() _order: unknown): void {}
}

const errors: string[] = [];
const logger = { debug() {}, info() {}, warn() {}, error: (line: string) => void errors.push(line) };

async function join(): Promise<INestMicroservice> {
  const module = await Test.createTestingModule({
    imports: [
      WaybillModule.forRoot({
        ...fixture.moduleOptions,
        group: 'shop',
        logger,
        consumer: { leaseMs: 20_000, heartbeatMs: 100 },
      }),
    ],
    controllers: [Orders],
  }).compile();
  module.useLogger(false);
  const app = module.createNestMicroservice({ strategy: module.get(WaybillServer) });
  await app.listen();
  return app;
}

const owns = (app: INestMicroservice, partitions: number): Promise<void> =>
  waitUntil(() => app.get(Waybill).consumerStatus?.partitions === partitions, {
    describe: `a member owns ${partitions} partitions`,
    timeoutMs: 60_000,
  });

test('members that join and leave under load take over partitions without an error', async () => {
  const first = await join();
  await owns(first, PARTITIONS);
  let isOver = false;
  const load = (async () => {
    for (let n = 0; !isOver; n += 1) await fixture.publish(n);
  })();
  for (let round = 0; round < 4; round += 1) {
    const second = await join();
    await owns(second, PARTITIONS / 2);
    await owns(first, PARTITIONS / 2);
    expect(first.get(Waybill).consumerStatus?.failures).toEqual([]);
    await second.close();
    await owns(first, PARTITIONS);
  }
  isOver = true;
  await load;
  await first.close();
  expect(errors).toEqual([]);
});
