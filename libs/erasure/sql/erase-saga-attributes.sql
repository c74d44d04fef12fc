-- Removes the attributes of a subject's sagas: they are stored in plain text, even with encryption.
-- Params: subjectHash text
-- Returns: removed bigint
-- Index: saga_attribute_pkey
with of_subject as (
  select s.id from :schema.saga s where s.content->>'subject'::text = $1
  union all
  select e.id from :schema.saga_ended e where e.content->>'subject'::text = $1
), gone as (
  delete from :schema.saga_attribute a using of_subject s
   where a.slot = :schema.saga_slot(s.id) and a.saga_id = s.id
  returning 1
)
select count(*) as removed from gone;
