-- The history of a saga, in order.
-- Params: id uuid
-- Returns: revision bigint, at timestamptz, elapsedMs bigint, state integer, content jsonb
-- Index: saga_transition_pkey
select t.revision, t.at,
       floor(extract(epoch from t.at - min(t.at) over ()) * 1000.0)::bigint as "elapsedMs",
       t.state::integer as state, t.content::text as content
  from :schema.saga_transition t
 where t.slot = :schema.saga_slot($1::uuid) and t.saga_id = $1::uuid
 order by t.revision;
