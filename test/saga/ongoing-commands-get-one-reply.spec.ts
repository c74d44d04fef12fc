import { afterEach, describe, expect, test } from '@jest/globals';
import type { Headers } from '@waybill/consumer';
import { newId } from '@waybill/kernel';
import { type LaterReply, saga, sagaCommand, type SagaDefinition, SagaOngoingError } from '@waybill/saga';
import { eventually, note, SagaFloor, type Work } from '../support/saga/sagas.js';

const charge = sagaCommand<{ orderId: string }, { receipt: string }>('payments.charge');
const refund = sagaCommand<{ orderId: string }>('payments.refund');
const policy = { timeoutMs: 60_000, delayMs: 20, maxDelayMs: 40, maxAttempts: 1 };

function charging(timeoutMs = policy.timeoutMs): SagaDefinition<{ orderId: string }, never> {
  return saga<{ orderId: string }>('orders.charge')
    .step('charge', {
      invoke: charge,
      with: (data) => data,
      then: ({ receipt }) => ({ receipt }),
      policy: { ...policy, timeoutMs },
      undo: { invoke: refund, with: ({ orderId }) => ({ orderId }), policy: { ...policy, maxAttempts: 5 } },
    })
    .build() as never;
}

/** A command that continues after its delivery. */
class Ongoing {
  readonly control = new Map<string, Headers>();

  constructor(private readonly options: { hasEffect?: boolean } = { hasEffect: false }) {}

  readonly work: Work = async ({ control }) => {
    this.control.set(control['waybill-saga-id'] ?? '', control);
    throw new SagaOngoingError(this.options);
  };

  async of(saga: string): Promise<Headers> {
    await eventually(async () => this.control.has(saga));
    return this.control.get(saga) ?? {};
  }
}

describe('a command with a later reply', () => {
  let floor: SagaFloor;
  afterEach(() => floor.close());

  async function open(definition: SagaDefinition<{ orderId: string }, never>, ongoing: Ongoing) {
    floor = await SagaFloor.open([definition] as never);
    await floor.serve('payments', { 'payments.charge': ongoing.work, 'payments.refund': note('refund') });
    await floor.carry();
    return floor.start(definition, newId(), { orderId: '1' });
  }

  /** Charges and replies in one transaction. */
  const end = (id: string, control: Headers, answer: LaterReply): Promise<void> =>
    floor.fixture.transaction(async (client) => {
      await client.query(`insert into deed (what, saga) values ('charge', $1)`, [id]);
      await floor.participant.reply(client, control, answer);
    });
  const done: LaterReply = { status: 'done', payload: { receipt: 'r-1' } };

  test('gets one reply, however often that is tried, and takes effect once', async () => {
    const ongoing = new Ongoing();
    const { id } = await open(charging(), ongoing);
    const control = await ongoing.of(id);
    const tries = await Promise.allSettled([1, 2, 3].map(() => end(id, control, done)));
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const one of tries)
      if (one.status === 'rejected')
        expect(one.reason).toMatchObject({ code: 'SAGA_COMMAND_OVER', why: 'replied', sagaId: id });
    await floor.until(id, 'COMPLETED');
    expect((await floor.operations.show(id)).instance.data).toMatchObject({ receipt: 'r-1' });
    await expect(end(id, control, done)).rejects.toMatchObject({ code: 'SAGA_COMMAND_OVER' });
    expect(await floor.deeds(id)).toEqual(['charge']);
  });

  test('gets no reply after its compensation, which has nothing to undo', async () => {
    const ongoing = new Ongoing();
    const { id } = await open(charging(3_000), ongoing);
    const control = await ongoing.of(id);
    await floor.until(id, 'COMPENSATED');
    for (const answer of [done, { status: 'rejected', reason: 'no' }, { status: 'ongoing' }] as const)
      await expect(end(id, control, answer)).rejects.toMatchObject({
        code: 'SAGA_COMMAND_OVER',
        why: 'taken-back',
        message: expect.stringContaining(id),
      });
    expect(await floor.deeds(id)).toEqual([]);
  });

  test('that has already had an effect is undone although it had no reply', async () => {
    const ongoing = new Ongoing({});
    const { id } = await open(charging(3_000), ongoing);
    const control = await ongoing.of(id);
    await floor.until(id, 'COMPENSATED');
    await expect(end(id, control, done)).rejects.toMatchObject({ code: 'SAGA_COMMAND_OVER' });
    expect(await floor.deeds(id)).toEqual(['refund']);
  });

  test('may be rejected, and has then ended', async () => {
    const ongoing = new Ongoing();
    const { id } = await open(charging(), ongoing);
    const control = await ongoing.of(id);
    await floor.fixture.transaction((client) =>
      floor.participant.reply(client, control, { status: 'rejected', reason: 'the card was declined' }),
    );
    await floor.until(id, 'COMPENSATED');
    expect((await floor.operations.show(id)).reason).toContain('the card was declined');
    await expect(end(id, control, done)).rejects.toMatchObject({
      code: 'SAGA_COMMAND_OVER',
      why: 'rejected',
    });
    expect(await floor.deeds(id)).toEqual([]);
  });

  test('restarts its time-out when it reports that it is still running', async () => {
    const ongoing = new Ongoing();
    const { id } = await open(charging(), ongoing);
    const control = await ongoing.of(id);
    const dueMs = async () => (await floor.operations.show(id)).instance.steps['charge']?.dueMs ?? 0;
    const before = await dueMs();
    expect(before).toBeGreaterThan(0);
    await floor.fixture.transaction((client) =>
      floor.participant.reply(client, control, { status: 'ongoing' }),
    );
    await eventually(async () => (await dueMs()) > before);
    expect((await floor.operations.show(id)).state).toBe('RUNNING');
    await end(id, control, done);
    await floor.until(id, 'COMPLETED');
    expect(await floor.deeds(id)).toEqual(['charge']);
  });

  test('that never started here, or is invalid, gets no reply', async () => {
    const ongoing = new Ongoing();
    const { id } = await open(charging(), ongoing);
    const control = await ongoing.of(id);
    const unknown = { ...control, 'waybill-saga-id': newId() };
    await expect(end(id, unknown, done)).rejects.toMatchObject({ code: 'SAGA_COMMAND_OVER', why: 'unknown' });
    await expect(end(id, {}, done)).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
    for (const answer of [
      null,
      'done',
      {},
      { status: 'constructor' },
      { status: 'rejected' },
      { status: 'done', reason: '' },
    ])
      await expect(end(id, control, answer as never)).rejects.toMatchObject({
        code: 'CONFIGURATION_INVALID',
      });
    const { pool } = floor.database;
    await expect(floor.participant.reply(pool as never, control, done)).rejects.toMatchObject({
      code: 'TRANSACTION_REQUIRED',
    });
    await expect(floor.participant.reply(control, done)).rejects.toMatchObject({
      code: 'TRANSACTION_REQUIRED',
    });
    expect(await floor.deeds(id)).toEqual([]);
    // The unsuccessful lookups have written nothing.
    const { rows } = await pool.query('select from waybill.barrier where gid = $1', [
      unknown['waybill-saga-id'],
    ]);
    expect(rows).toEqual([]);
  });
});
