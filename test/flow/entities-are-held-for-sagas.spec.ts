import { afterEach, describe, expect, test } from '@jest/globals';
import { saga, sagaCommand } from '@waybill/saga';
import { eventually, note, SagaFloor } from '../support/sagas.js';

const quick = { timeoutMs: 60_000, delayMs: 20, maxDelayMs: 40 };

describe('semantic locks', () => {
  let floor: SagaFloor;
  afterEach(() => floor.close());

  const adjust = sagaCommand<{ orderId: string }>('stock.adjust');
  const finish = sagaCommand<{ orderId: string }>('stock.finish');
  const holding = saga<{ orderId: string }>('stock.hold')
    .step('adjust', { invoke: adjust, with: (data) => data, policy: quick })
    .waitFor('go')
    .step('finish', { invoke: finish, with: (data) => data, policy: quick })
    .build();
  const serveHolding = (): Promise<void> =>
    floor.serve('stock', {
      'stock.adjust': async (delivery, client) => {
        const sagaId = delivery.control['waybill-saga-id'] ?? '';
        await floor.locks.hold(delivery.session, { sagaId, branch: 'adjust' }, 'sku:1');
        return note('adjust')(delivery, client);
      },
      'stock.finish': async (delivery, client) => {
        await floor.locks.release(delivery, delivery.control['waybill-saga-id'] ?? '');
        return note('finish')(delivery, client);
      },
    });

  test('a command for an entity of another saga waits until that lets go', async () => {
    floor = await SagaFloor.open([holding] as never);
    await serveHolding();
    await floor.carry();
    const first = await floor.start(holding, '1', { orderId: '1' });
    await eventually(async () => (await floor.deeds(first.id)).length === 1);
    const second = await floor.start(holding, '2', { orderId: '2' });
    await eventually(async () => (await floor.locks.list(floor.database.session))[0]?.waiting === 1);
    expect(await floor.deeds(second.id)).toEqual([]);
    await floor.fixture.transaction((client) => floor.sagas.signal(client, first.id, 'go'));
    await floor.until(first.id, 'COMPLETED');
    await eventually(async () => (await floor.deeds(second.id)).length === 1);
    await floor.fixture.transaction((client) => floor.sagas.signal(client, second.id, 'go'));
    await floor.until(second.id, 'COMPLETED');
    expect(await floor.deeds()).toEqual(['adjust', 'finish', 'adjust', 'finish']);
    expect(await floor.locks.list(floor.database.session)).toEqual([]);
  });

  test('a command that has waited too long is rejected, and its saga compensated', async () => {
    floor = await SagaFloor.open([holding] as never, { locks: { waitMs: 100, sweepMs: 20 } });
    await serveHolding();
    await floor.carry();
    const first = await floor.start(holding, '1', { orderId: '1' });
    await eventually(async () => (await floor.deeds(first.id)).length === 1);
    const second = await floor.start(holding, '2', { orderId: '2' });
    await floor.until(second.id, 'COMPENSATED');
    expect((await floor.desk.show(second.id)).reason).toContain('sku:1 was held by another saga');
    expect(await floor.deeds(second.id)).toEqual([]);
  });
});
