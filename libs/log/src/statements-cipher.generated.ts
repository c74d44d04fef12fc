// Made by scripts/build-sql.mjs from ../sql/cipher; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Stores keys of the service in the log, which is in the same database. Those of erased subjects are left out.
 * Locks: an erasure in the log waits for it
 */
export const copySubjectKeys = statement<[keyIds: readonly (string | null)[]], Record<never, never>>('copy-subject-keys', `select :bus.keep_subject_keys(pg_catalog.array_agg(k.subject_hash), pg_catalog.array_agg(k.id), pg_catalog.array_agg(k.wrapped_key))::text
  from :schema.subject_keys_of($1::uuid[]) k having pg_catalog.count(*) > 0`);

/**
 * The number of keys of a subject in the log.
 * Index: subject_key_subject
 */
export const countLogKeys = statement<[subjectHash: Buffer], { keys: number }>('count-log-keys', `select :bus.count_subject_keys($1) as keys`);

/**
 * Destroys the keys of a subject in the log, for good.
 * Locks: waits for transactions that store keys in the log, and they for it
 */
export const destroyLogKeys = statement<[subjectHash: Buffer], { destroyed: number }>('destroy-log-keys', `select :bus.destroy_subject_keys($1) as destroyed`);

/**
 * Stores a key of a subject, in the transaction of the data encrypted with it. Raises WB011 if the subject was erased.
 * Locks: an erasure of the subject waits for it
 */
export const keepSubjectKey = statement<[subjectHash: Buffer, keyId: string, wrapped: Buffer], Record<never, never>>('keep-subject-key', `select :schema.keep_subject_key($1, $2, $3)`);

/**
 * The same of the log.
 * Index: subject_key_id, erased_subject_pkey
 */
export const readLogKey = statement<[keyId: string, subjectHash: Buffer], { wrapped: Buffer | null; erased: boolean }>('read-log-key', `select k.wrapped, k.erased from :bus.read_subject_key($1::uuid, $2) k`);

/**
 * A key of a subject of the service, wrapped, and whether the subject was erased.
 * Index: subject_key_id, erased_subject_pkey
 */
export const readSubjectKey = statement<[keyId: string, subjectHash: Buffer], { wrapped: Buffer | null; erased: boolean }>('read-subject-key', `select k.wrapped, k.erased from :schema.read_subject_key($1::uuid, $2) k`);

/**
 * Keys of the service, wrapped, by their ids; those that it does not have are left out.
 * Index: subject_key_id
 */
export const readSubjectKeys = statement<[keyIds: readonly (string | null)[]], { id: string; subjectHash: Buffer; wrapped: Buffer }>('read-subject-keys', `select k.id::text as id, k.subject_hash as "subjectHash", k.wrapped_key as wrapped from :schema.subject_keys_of($1::uuid[]) k`);
