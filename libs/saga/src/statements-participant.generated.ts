// Made by scripts/build-sql.mjs from ../sql/participant; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Locks an entity for a saga; false if another saga holds it.
 * Locks: the entity
 */
export const holdEntity = statement<[entity: string, sagaId: string, branch: string], { held: boolean }>('hold-entity', `select :schema.saga_hold($1, $2, $3) as held`);

/**
 * Locked entities, the oldest lock first, and the number of commands that wait for each.
 * Index: saga_lock_pkey, saga_stash_entity
 */
export const listLocks = statement<[entity: string | null, olderThanMs: number, most: number], { entity: string; sagaId: string; branch: string; lockedAt: Date; waiting: number }>('list-locks', `select l.entity, l.saga_id as "sagaId", l.branch, l.locked_at as "lockedAt",
       (select pg_catalog.count(*) from :schema.saga_stash s where s.entity = l.entity)::bigint as waiting
  from :schema.saga_lock l
 where ($1::text is null or l.entity = $1::text)
   and l.locked_at <= (select pg_catalog.clock_timestamp() - $2::bigint::double precision * interval '1 millisecond')
 order by l.locked_at
 limit $3::integer`);

/**
 * Releases what a saga holds: one entity, those of one of its branches, or all; returns the commands that waited.
 * Locks: the entities, and the commands
 * Index: saga_lock_saga, saga_stash_entity
 */
export const releaseEntities = statement<[sagaId: string, branch: string | null, entity: string | null], { topic: string; key: string | null; headers: string; control: string; payload: Buffer | null }>('release-entities', `select r.topic, r.message_key as key, r.headers, r.control, r.payload from :schema.saga_release($1, $2, $3) r`);

/**
 * Stores a command until an entity is released; false if too many wait for it.
 * Locks: the new row
 */
export const stashCommand = statement<[entity: string, most: number, waitMs: number, topic: string, key: string | null, headers: string, control: string, payload: Buffer | null], { stashed: boolean }>('stash-command', `select :schema.saga_stash_command($1, $2, $3, $4, $5, $6::json, $7::json, $8) as stashed`);

/**
 * Removes and returns commands that have waited for an entity too long.
 * Locks: the commands
 * Index: saga_stash_expires
 */
export const takeExpiredCommands = statement<[most: number], { entity: string; control: string }>('take-expired-commands', `delete from :schema.saga_stash s
 where s.id in (select e.id from :schema.saga_stash e where e.expires_at <= (select pg_catalog.clock_timestamp())
                 order by e.expires_at limit $1::integer for update skip locked)
returning s.entity, s.control::text as control`);

/**
 * Removes and returns commands that wait for an entity that is no longer held.
 * Locks: the commands
 * Index: saga_lock_pkey
 */
export const wakeCommands = statement<[most: number], { topic: string; key: string | null; headers: string; control: string; payload: Buffer | null }>('wake-commands', `select w.topic, w.message_key as key, w.headers, w.control, w.payload from :schema.saga_wake($1) w`);
