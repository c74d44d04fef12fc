import { afterEach, describe, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import { newId, PgDatabase } from '@waybill/kernel';
import { saga, sagaCommand, SagaLockOperations } from '@waybill/saga';
import { migrate } from '@waybill/schema';
import { testDatabase } from '@waybill/testing';
import { eventually, note, SagaFloor } from '../support/saga/sagas.js';

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

  test('a command for an entity of another saga waits until that saga releases it', async () => {
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
    expect((await floor.operations.show(second.id)).reason).toContain('sku:1 was held by another saga');
    expect(await floor.deeds(second.id)).toEqual([]);
  });

  const command = async (...words: string[]): Promise<string> => {
    let printed = '';
    const program = createProgram({ write: (text) => (printed += text) });
    await program.parseAsync(['node', 'waybill', '--database-url', floor.fixture.url, 'saga', ...words]);
    return printed;
  };
  const held = () => floor.locks.list(floor.database.session);
  const tellEnd = (topic: string, sagaId: string): Promise<void> =>
    floor.fixture.transaction((client) => {
      const control = {
        'waybill-saga-id': sagaId,
        'waybill-saga-branch': 'adjust',
        'waybill-saga-op': 'release',
      };
      return floor.outbox.publishEncoded(client, [
        floor.outbox.encodeControl({ topic, key: sagaId, control, payload: null }),
      ]);
    });

  test('a reply reports that an entity is held, and it is released when the saga reports its end', async () => {
    floor = await SagaFloor.open([holding] as never);
    await serveHolding();
    const first = await floor.start(holding, '1', { orderId: '1' });
    await eventually(async () => (await floor.fixture.log('orders.saga-replies')).length === 1);
    const [answer] = await floor.fixture.log('orders.saga-replies');
    expect(answer?.headers).toMatchObject({ 'waybill-reply-status': 'done', 'waybill-saga-holds': '1' });
    const second = await floor.start(holding, '2', { orderId: '2' });
    await eventually(async () => (await held())[0]?.waiting === 1);
    await tellEnd('stock.adjust', first.id);
    // The waiting command now runs, and no other effect or reply was made for the message.
    await eventually(async () => (await held())[0]?.sagaId === second.id);
    await eventually(async () => (await floor.deeds()).length === 2);
    expect(await floor.deeds()).toEqual(['adjust', 'adjust']);
    await tellEnd('stock.finish', second.id);
    await eventually(async () => (await held()).length === 0);
    expect(await floor.deeds()).toEqual(['adjust', 'adjust']);
    const answers = await floor.fixture.log('orders.saga-replies');
    const answered = answers.map(({ headers }) => headers['waybill-saga-id']);
    expect(new Set(answered)).toEqual(new Set([first.id, second.id]));
    expect(answered).toHaveLength(2);
  });

  test('an operator lists what is held, and releases it; the waiting commands are delivered again', async () => {
    floor = await SagaFloor.open([holding] as never, { locks: { sweepMs: 20 } });
    await serveHolding();
    const first = await floor.start(holding, '1', { orderId: '1' });
    await eventually(async () => (await floor.deeds(first.id)).length === 1);
    const second = await floor.start(holding, '2', { orderId: '2' });
    await eventually(async () => (await held())[0]?.waiting === 1);
    expect(await command('locks')).toMatch(new RegExp(`sku:1 .*${first.id} .*adjust .* 1`));
    expect(await command('locks', '--older-than', '1h', '--json')).not.toContain('sku:1');
    expect(await command('locks', '--entity', 'sku:2', '--json')).not.toContain('sku:1');
    expect(await command('unlock', 'sku:1')).toContain('use --yes to do so');
    expect((await held())[0]?.sagaId).toBe(first.id);
    await expect(command('unlock', 'sku:2', '--yes')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(
      await command('unlock', 'sku:1', '--because', 'the saga is lost', '--by', 'ada', '--yes'),
    ).toContain(first.id);
    await eventually(async () => (await held())[0]?.sagaId === second.id);
    expect((await held())[0]).toMatchObject({ waiting: 0 });
    const { rows } = await floor.database.pool.query(
      'select stated_by, action, target, reason, details from waybill.operator_action',
    );
    expect(rows).toEqual([
      {
        stated_by: 'ada',
        action: 'saga.unlock',
        target: 'sku:1',
        reason: 'the saga is lost',
        details: expect.objectContaining({ saga: first.id, waiting: 1 }),
      },
    ]);
  });

  test("in a participant's own database a release by an operator is recorded as well", async () => {
    floor = await SagaFloor.open([holding] as never);
    const { connectionString, drop } = await testDatabase('participant');
    const own = new PgDatabase({ connectionString });
    try {
      await migrate({ connectionString, part: 'service' });
      const [first, second] = [newId(), newId()];
      const take = (sagaId: string) => floor.locks.hold(own.session, { sagaId, branch: '01' }, 'till');
      await take(first);
      await expect(take(second)).rejects.toMatchObject({ entity: 'till' });
      expect(await new SagaLockOperations(own).unlock('till', { by: 'ada' })).toMatchObject({
        sagaId: first,
      });
      await take(second);
      await expect(new SagaLockOperations(own).unlock('till', { by: ' ' })).rejects.toMatchObject({
        code: 'CONFIGURATION_INVALID',
      });
      const { rows } = await own.pool.query(
        'select stated_by, actor = session_user as own from waybill.operator_action',
      );
      expect(rows).toEqual([{ stated_by: 'ada', own: true }]);
    } finally {
      await own.close();
      await drop();
    }
  });
});
