-- Closes an open dead letter because another message was sent instead, and releases the messages that waited for it.
-- Params: id bigint, replacedBy text
-- Returns: id bigint
with replaced as (
  update :schema.dead_letter d
     set state = 'replaced', state_since = clock_timestamp(), replaced_by = $2
   where d.id = $1 and d.state = 'open'
  returning d.id, d.group_id, d.partition_id, d.log_offset
), released as (
  delete from :schema.parked_message m
   using replaced r
   where m.group_id = r.group_id and m.partition_id = r.partition_id and m.log_offset = r.log_offset
)
select r.id from replaced r;
