-- Sagas by their attributes, in the order of their start: those with one attribute, by which they are looked up, and
-- with all of the others. The rest as in list-sagas.
-- Params: states integer[], type text?, keyPrefix text?, olderThanMs bigint?, after uuid?, most integer, name text,
--   value text, names text[], values text[]
-- Returns: id uuid, type text, version integer, key text, replyTopic text, state integer, revision bigint,
--   startedAt timestamptz, changedAt timestamptz, reason text?, parentId uuid?
-- Index: saga_attribute_value, saga_pkey, saga_ended_pkey
(select s.id, s.saga_type as type, s.definition_version as version, s.saga_key as key,
        s.reply_topic as "replyTopic", s.state::integer as state,
        s.revision, s.started_at as "startedAt", s.changed_at as "changedAt", s.reason, s.parent_id as "parentId"
   from :schema.saga_attribute a
   join :schema.saga s on s.id = a.saga_id
  where a.name = $7::text and a.value = $8::text
    and not exists (
      select from unnest($9::text[], $10::text[]) as w (name, value)
       where not exists (select from :schema.saga_attribute o
                          where o.slot = a.slot and o.saga_id = a.saga_id and o.name = w.name and o.value = w.value))
    and s.state = any ($1::smallint[]) and ($2::text is null or s.saga_type = $2)
    and ($3::text is null or starts_with(s.saga_key, $3))
    and ($4::bigint is null or s.started_at <= clock_timestamp() - $4::bigint::double precision * interval '1 millisecond')
    and a.saga_id > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
  order by a.saga_id limit $6)
union all
(select e.id, e.saga_type, e.definition_version, e.saga_key, e.reply_topic, e.state::integer, e.revision,
        e.started_at, e.ended_at, e.reason, e.parent_id
   from :schema.saga_attribute a
   join :schema.saga_ended e on e.slot = a.slot and e.id = a.saga_id
  where a.name = $7::text and a.value = $8::text
    and not exists (
      select from unnest($9::text[], $10::text[]) as w (name, value)
       where not exists (select from :schema.saga_attribute o
                          where o.slot = a.slot and o.saga_id = a.saga_id and o.name = w.name and o.value = w.value))
    and e.state = any ($1::smallint[]) and ($2::text is null or e.saga_type = $2)
    and ($3::text is null or starts_with(e.saga_key, $3))
    and ($4::bigint is null or e.started_at <= clock_timestamp() - $4::bigint::double precision * interval '1 millisecond')
    and a.saga_id > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
  order by a.saga_id limit $6)
 order by id
 limit $6;
