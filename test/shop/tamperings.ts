import type { ServiceName } from '../../src/contracts/services.js';

/** Tampering with the books of the shop; after each the reconciliation must count something. */

/** Every count of the reconciliation that is 0 when all is well. */
export const NOTHING_WRONG = {
  missingEffects: 0,
  doubleEffects: 0,
  strayEffects: 0,
  outOfOrder: 0,
  missingSteps: 0,
  doubleSteps: 0,
  straySteps: 0,
  stepsOutOfOrder: 0,
  openSagas: 0,
  deadLetters: 0,
  missingOutcomes: 0,
  doubleOutcomes: 0,
  doublePayments: 0,
  gatewayDisagrees: 0,
  wrongCharges: 0,
  wrongRefunds: 0,
  wrongShipments: 0,
  wrongLevels: 0,
  doubleMovements: 0,
  missingInvoices: 0,
};

const DEAD_LETTER = `
  insert into waybill.dead_letter (group_id, partition_id, log_offset, bucket_seq, topic, partition_number, handler,
                                   headers, timestamp_ms, reason, error_class, error_message, fingerprint, attempts,
                                   first_failed_at, last_failed_at)
  select g.id, p.id, 0, 1, 'orders.confirmed', 0, 'confirmed', '[]', 0, 'attempts-spent', 'Error', 'no', 'f', 5, now(), now()
    from waybill.consumer_group g, waybill.topic_partition p limit 1`;

const COPY = 'insert into $1 ($2) select $2 from $1 where id = (select min(id) from $1)';
const copied = (table: string, columns: string): string =>
  COPY.replaceAll('$1', table).replaceAll('$2', columns);
const effect = 'message_id, topic, partition, log_offset, key';
const step = 'saga_id, invoice_no, step, op';
const payment = 'kind, method, invoice_no, customer_id, amount_pence, reference';
const stepOf = (invoiceNo: string, name: string, op = 'action'): string =>
  `where invoice_no = '${invoiceNo}' and step = '${name}' and op = '${op}'`;

/** Which count grows, what has happened, in which database, and by which statement. */
export type Tampering = [keyof typeof NOTHING_WRONG, string, ServiceName, string];

export const TAMPERINGS: readonly Tampering[] = [
  ['missingEffects', 'an effect is gone', 'inventory', 'delete from inventory.effect where id = 1'],
  ['doubleEffects', 'an effect is stored twice', 'inventory', copied('inventory.effect', effect)],
  [
    'strayEffects',
    'an effect has no message',
    'inventory',
    `update inventory.effect set message_id = 'none' where id = (select max(id) from inventory.effect)`,
  ],
  [
    'outOfOrder',
    'an effect is too early',
    'inventory',
    `insert into inventory.effect (${effect}) select message_id, topic, partition, log_offset - 1, key
         from inventory.effect where id = (select max(id) from inventory.effect)`,
  ],
  [
    'missingSteps',
    'a step is gone',
    'payments',
    `delete from payments.step_effect ${stepOf('100', 'charge')}`,
  ],
  [
    'missingSteps',
    'a compensation is missing',
    'inventory',
    `delete from inventory.step_effect ${stepOf('143', 'reserve', 'compensate')}`,
  ],
  ['doubleSteps', 'a step was taken twice', 'payments', copied('payments.step_effect', step)],
  [
    'straySteps',
    'a rejected order was shipped',
    'inventory',
    `insert into inventory.step_effect (${step}) values ('s', '130', 'ship', 'action')`,
  ],
  [
    'stepsOutOfOrder',
    'an order was shipped before it was paid',
    'inventory',
    `update inventory.step_effect set recorded_at = recorded_at - interval '1 hour' ${stepOf('110', 'ship')}`,
  ],
  ['deadLetters', 'a message was given up', 'inventory', DEAD_LETTER],
  [
    'missingOutcomes',
    'an order is missing',
    'orders',
    `update orders.customer_order set status = 'PLACED' where invoice_no = '110'`,
  ],
  [
    'doubleOutcomes',
    'an order ended twice',
    'orders',
    copied('orders.order_transition', 'invoice_no, from_status, to_status'),
  ],
  ['doublePayments', 'a customer paid twice', 'payments', copied('payments.ledger_entry', payment)],
  [
    'gatewayDisagrees',
    'the gateway has a penny less',
    'payments',
    `update payments.ledger_entry set amount_pence = 751 where invoice_no = '100'`,
  ],
  [
    'wrongCharges',
    'there is a penny too much',
    'payments',
    `update payments.ledger_entry set amount_pence = 1351 where invoice_no = '120'`,
  ],
  [
    'wrongRefunds',
    'a refund is missing',
    'payments',
    `delete from payments.ledger_entry where invoice_no = 'C150'`,
  ],
  [
    'wrongShipments',
    'a parcel did not leave',
    'inventory',
    `update inventory.shipment set dispatched_at = null where invoice_no = '146'`,
  ],
  [
    'wrongLevels',
    'a piece was lost',
    'inventory',
    `update inventory.stock set level = level - 1 where sku = 'F1'`,
  ],
  [
    'doubleMovements',
    'goods left twice',
    'inventory',
    copied('inventory.stock_movement', 'sku, quantity, reason, invoice_no, saga_id'),
  ],
];
