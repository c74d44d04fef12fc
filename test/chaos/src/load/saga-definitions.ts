import { saga, sagaCommand, type SagaDefinition } from '@waybill/saga';
import type { PgTransactionHandle } from '@waybill/kernel';

/**
 * What happens to an order. The first four are refused by the business or never answered, and are compensated. Of the others,
 * `late` answers after a while and takes effect then, `late-effect` takes effect first.
 */
export type Scenario =
  'no-stock' | 'no-money' | 'no-lorry' | 'silent' | 'flaky' | 'slow' | 'late' | 'late-effect' | 'good';

/** The data of a saga. */
export type Order = {
  readonly orderId: string;
  readonly scenario: Scenario;
  readonly sku: string;
  readonly customer: string;
  readonly pence: number;
};

/** The commands, by what they do; each is a topic. */
export const COMMANDS = {
  reserve: 'chaos.stock.reserve',
  release: 'chaos.stock.release',
  charge: 'chaos.bank.charge',
  refund: 'chaos.bank.refund',
  ship: 'chaos.shipping.ship',
  settle: 'chaos.bank.settle',
} as const;

/** An effect of a saga, or the compensation of one, in the ledger of effects. */
export async function recordEffect(
  transaction: PgTransactionHandle,
  sagaId: string,
  step: string,
  direction: 'do' | 'undo',
): Promise<void> {
  await transaction.query('insert into saga_effect (saga_id, step, direction) values ($1, $2, $3)', [
    sagaId,
    step,
    direction,
  ]);
}

const command = (name: keyof typeof COMMANDS): ReturnType<typeof sagaCommand<Order, object>> =>
  sagaCommand<Order, object>(COMMANDS[name]);
const whole = (order: Order): Order => order;
/** No fault may use up a step's attempts or its time: then it would be the business that refuses. */
const PATIENT = { timeoutMs: 300_000, maxAttempts: 1_000, delayMs: 50, maxDelayMs: 500 };

function orderSaga(type: string, charging: object, refunding: object): SagaDefinition<Order> {
  return saga<Order>(type)
    .step('reserve', {
      invoke: command('reserve'),
      with: whole,
      undo: { invoke: command('release'), with: whole, policy: PATIENT },
      policy: PATIENT,
    })
    .step('charge', {
      invoke: command('charge'),
      with: whole,
      undo: { invoke: command('refund'), with: whole, policy: { ...PATIENT, ...refunding } },
      policy: { ...PATIENT, ...charging },
    })
    .local('book', {
      run: (_order, { transaction, sagaId }) => recordEffect(transaction, sagaId, 'book', 'do'),
      undo: {
        run: (_order, { transaction, sagaId }) => recordEffect(transaction, sagaId, 'book', 'undo'),
        policy: PATIENT,
      },
      policy: PATIENT,
    })
    .step('ship', { invoke: command('ship'), with: whole, pivot: true, policy: PATIENT })
    .step('settle', { invoke: command('settle'), with: whole, policy: PATIENT })
    .build() as unknown as SagaDefinition<Order>;
}

/** Waits for every answer. */
export const patientOrder = orderSaga('chaos.order', {}, {});
/** Waits for the bank's answers for a short time only: then it gives the charge up, and asks for the refund again. */
export const hastyOrder = orderSaga(
  'chaos.hasty-order',
  { timeoutMs: 2_000, maxAttempts: 2 },
  { timeoutMs: 400 },
);

/** The saga of an order. */
export function sagaOf({ scenario }: Pick<Order, 'scenario'>): SagaDefinition<Order> {
  return scenario === 'silent' || scenario.startsWith('late') ? hastyOrder : patientOrder;
}
