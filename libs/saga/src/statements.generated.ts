// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';
export * from './statements-client.generated.js';
export * from './statements-engine.generated.js';
export * from './statements-http.generated.js';
export * from './statements-loop.generated.js';
export * from './statements-message.generated.js';
export * from './statements-operator.generated.js';
export * from './statements-participant.generated.js';

/**
 * One saga, running or ended.
 * Index: saga_pkey, saga_ended_pkey
 */
export const showSaga = statement<[id: string], { id: string; type: string; version: number; key: string; replyTopic: string; state: number; revision: number; startedAt: Date; changedAt: Date; reason: string | null; parentId: string | null; content: string; startedAtMs: number }>('show-saga', `select s.id, s.saga_type as type, s.definition_version as version, s.saga_key as key,
        s.reply_topic as "replyTopic", s.state::integer as state,
       s.revision, s.started_at as "startedAt", s.changed_at as "changedAt", s.reason, s.parent_id as "parentId",
       s.content::text as content, (extract(epoch from s.started_at) * 1000.0)::bigint as "startedAtMs"
  from :schema.saga s
 where s.id = $1::uuid
union all
select e.id, e.saga_type, e.definition_version, e.saga_key, e.reply_topic, e.state::integer, e.revision,
        e.started_at, e.ended_at,
       e.reason, e.parent_id, e.content::text, (extract(epoch from e.started_at) * 1000.0)::bigint
  from :schema.saga_ended e
 where e.slot = :schema.saga_slot($1::uuid) and e.id = $1::uuid`);
