-- Erases what is possible of the messages with one of these keys, or of one message: dead letters lose their content
-- and are closed, undecided half messages are rolled back, waiting rows are removed, stored results are emptied.
-- Params: keys text[], messageId text?, topic text?
-- Returns: deadLetters bigint, parked bigint, timers bigint, recurring bigint, halves bigint, decidedHalves bigint, outbox bigint,
--   quarantined bigint, results bigint
-- Locks: their rows
with letters as (
  update :schema.dead_letter d
     set payload = null, headers = '[]'::jsonb, key = null, error_message = 'erased', error_stack = null,
         state = case when d.state in ('open', 'redriving') then 'discarded' else d.state end,
         state_since = case when d.state in ('open', 'redriving') then clock_timestamp() else d.state_since end
   where (d.key = any ($1) or d.message_id = $2) and ($3::text is null or d.topic = $3::text)
  returning 1
), parked as (
  delete from :schema.parked_message m
   using :schema.topic_partition p, :schema.topic t
   where p.id = m.partition_id and t.id = p.topic_id and ($3::text is null or t.name = $3::text)
     and (m.key = any ($1) or m.message_id = $2)
  returning 1
), timers as (
  delete from :schema.timer i
   where i.kind = 1 and (i.key = any ($1) or i.message_id = $2::text::uuid)
     and ($3::text is null or i.topic = $3::text)
  returning 1
), recurring as (
  delete from :schema.recurring_message r
   where r.key = any ($1) and ($3::text is null or r.topic = $3::text)
  returning r.name
), runs as (
  delete from :schema.timer i using recurring r where i.kind = 2 and i.token = r.name
), halves as (
  delete from :schema.half_message h
   where exists (select from jsonb_array_elements(h.messages) as m (message)
                  where (m.message->>'key'::text = any ($1) or m.message->>'id'::text = $2)
                    and ($3::text is null or m.message->>'topic'::text = $3::text))
  returning h.id, h.producer_group, h.prepared_at, h.checks
), rolled_back as (
  insert into :schema.half_message_decided (slot, id, producer_group, state, prepared_at, decided_by, reason, checks, messages)
  select (floor(extract(epoch from clock_timestamp()) / 86400.0)::bigint % 9::bigint)::smallint, h.id, h.producer_group,
         3::smallint, h.prepared_at, session_user::text, 'erased', h.checks, '[]'::jsonb
    from halves h
), decided as (
  update :schema.half_message_decided h set messages = '[]'::jsonb
   where exists (select from jsonb_array_elements(h.messages) as m (message)
                  where (m.message->>'key'::text = any ($1) or m.message->>'id'::text = $2)
                    and ($3::text is null or m.message->>'topic'::text = $3::text))
  returning 1
), outbox as (
  delete from :schema.outbox o
   where (o.key = any ($1) or o.message_id = $2::text::uuid) and ($3::text is null or o.topic = $3::text)
  returning 1
), quarantined as (
  delete from :schema.outbox_quarantine q
   where (q.key = any ($1) or q.message_id = $2::text::uuid) and ($3::text is null or q.topic = $3::text)
  returning 1
), results as (
  update :schema.idempotent_message i set result = null where i.message_id = $2 and i.result is not null
  returning 1
)
select (select count(*) from letters) as "deadLetters", (select count(*) from parked) as parked,
       (select count(*) from timers) as timers, (select count(*) from recurring) as recurring,
       (select count(*) from halves) as halves, (select count(*) from decided) as "decidedHalves",
       (select count(*) from outbox) as outbox, (select count(*) from quarantined) as quarantined,
       (select count(*) from results) as results;
