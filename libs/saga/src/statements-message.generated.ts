// Made by scripts/build-sql.mjs from ../sql/message; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Stores a new key of a service's sagas.
 * Locks: none but the new row
 */
export const addSagaKey = statement<[replyTopic: string, secret: Buffer], { id: number }>('add-saga-key', `insert into :schema.saga_mac_key (reply_topic, secret) values ($1::text, $2::bytea) returning id`);

/**
 * The newest key of a service's sagas that is not older than maxAgeMs.
 * isCommitted: it was not created by this transaction, as far as its time shows.
 * Index: saga_mac_key_topic
 */
export const currentSagaKey = statement<[replyTopic: string, maxAgeMs: number], { id: number; secret: Buffer; isCommitted: boolean }>('current-saga-key', `select k.id, k.secret, k.created_at < pg_catalog.transaction_timestamp() as "isCommitted"
  from :schema.saga_mac_key k
 where k.reply_topic = $1::text
   and k.created_at > pg_catalog.clock_timestamp() - $2::bigint::double precision * interval '1 millisecond'
 order by k.id desc
 limit 1`);

/**
 * A key of a service's sagas by its id.
 * Index: saga_mac_key_pkey
 */
export const readSagaKey = statement<[id: number, replyTopic: string], { secret: Buffer }>('read-saga-key', `select k.secret from :schema.saga_mac_key k where k.id = $1::bigint and k.reply_topic = $2::text`);
