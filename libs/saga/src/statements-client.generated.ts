// Made by scripts/build-sql.mjs from ../sql/client; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * The saga of a type and key, running or ended.
 * Index: saga_key, saga_ended_key
 */
export const findSaga = statement<[type: string, key: string], { id: string }>('find-saga', `select s.id from :schema.saga s where s.saga_type = $1::text and s.saga_key = $2::text
union all
select e.id from :schema.saga_ended e where e.saga_type = $1::text and e.saga_key = $2::text
limit 1`);

/**
 * The round and the attempt of an HTTP call.
 * Index: saga_call_pkey
 */
export const readSagaCall = statement<[sagaId: string, step: string, op: string], { round: number; attempt: number }>('read-saga-call', `select c.round, c.attempt
  from :schema.saga_call c
 where c.saga_id = $1::uuid and c.step = $2::text and c.op = $3::text`);

/**
 * Records that an endpoint has replied later; false if it has replied already, or for another round.
 * Locks: the call
 * Index: saga_call_pkey
 */
export const replyToSagaCall = statement<[sagaId: string, step: string, op: string, round: number, rejected: boolean], { first: boolean }>('reply-to-saga-call', `select :schema.saga_call_reply($1::uuid, $2::text, $3::text, $4::integer, $5::boolean) as first`);
