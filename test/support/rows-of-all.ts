import type pg from 'pg';

export const HALF = '0199c0de-0000-7000-8000-000000000001';
export const SAGA = '0199c0de-0000-7000-8000-000000000002';
export const MEMBER = '0199c0de-0000-7000-8000-000000000003';

/** Ids of the groups and partitions that the rows are for. */
export interface RowIds {
  readonly orders: number;
  readonly payments: number;
  readonly shop: number;
  readonly billing: number;
}

/** Inserts one row of each kind, for group shop and topic orders, and for group billing and topic payments. */
export async function insertRowsOfAll(pool: pg.Pool, ids: RowIds): Promise<void> {
  for (const [of, partition] of [
    [ids.shop, ids.orders],
    [ids.billing, ids.payments],
  ]) {
    await pool.query(
      `with owned as (insert into waybill_bus.partition_owner (group_id, partition_id, owner_id, owner_epoch) values ($1, $2, '${MEMBER}', 5)),
            member as (insert into waybill_bus.group_member (group_id, member_id, topics, lease_until) values ($1, '${MEMBER}', '{}', 'infinity')),
            taken as (insert into waybill.progress_owner (group_id, partition_id, owner_epoch, grant_epoch, log_epoch, member_id) values ($1, $2, 5, 5, 1, '${MEMBER}')),
            place as (insert into waybill.consumer_position (group_id, partition_id, position, in_flight_end) values ($1, $2, 0, 0)),
            parked as (insert into waybill.parked_message (group_id, partition_id, log_offset, bucket_seq, headers, timestamp_ms) values ($1, $2, 0, 1, '[]', 0))
       insert into waybill.dead_letter (group_id, partition_id, log_offset, bucket_seq, topic, partition_number, handler, headers, timestamp_ms,
                                        reason, error_class, error_message, fingerprint, attempts, first_failed_at, last_failed_at)
       values ($1, $2, 0, 1, '', 0, 'h', '[]', 0, 'r', 'E', 'm', 'f', 1, now(), now())`,
      [of, partition],
    );
  }
  await pool.query(
    `insert into waybill.half_message (id, producer_group, next_check_at, check_interval_ms, check_max, messages, payloads)
     values ('${HALF}', 'billing', now(), 1000, 5, '[{"topic": "payments"}]', '{}')`,
  );
  await pool.query(
    `select waybill.saga_start('${SAGA}', 'pay', 1, 'P-1', 'billing.saga-replies', 1::smallint, null, null, null, null, 'c0ffee', '{}', '{}')`,
  );
  await pool.query(
    `with k as (insert into waybill.saga_mac_key (reply_topic, secret) values ('billing.saga-replies', decode(repeat('00', 32), 'hex'))),
          r as (insert into waybill.saga_refusal (reply_topic, why, partition_number, log_offset) values ('billing.saga-replies', 'x', 0, 0)),
          o as (insert into waybill.saga_order (saga_id, reply_topic, event, revision, stated_by) values ('${SAGA}', 'billing.saga-replies', '{}', 1, 'ada'))
     insert into waybill.outbox_quarantine (slot, id, xid, message_id, topic, created_at, published_by, origin, reason_code, reason)
     values (0, 1, '1', gen_random_uuid(), 'payments', now(), 'x', 'outbox', 'TOPIC_UNKNOWN', 'x')`,
  );
  await pool.query(`select waybill.message_keep('billing/payments/pay', 'm-1', 3600000, '"secret"')`);
}
