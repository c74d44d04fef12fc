-- Changes the message of an open dead letter and sends it to the handler that failed.
-- Params: id bigint, messageId text, headers jsonb, payload bytea?
-- Returns: redriven bigint
-- Locks: the dead letter
with edited as (
  update :schema.dead_letter d
     set message_id = $2, headers = $3::jsonb, payload = $4, replaced_by = $2
   where d.id = $1 and d.state = 'open'
  returning d.id
)
select count(*) as redriven from edited;
