-- Closes the dead letter of a message that was redriven and has been handled.
-- Params: groupId integer, partitionId integer, offset bigint
-- Returns: none
update :schema.dead_letter d
   set state = 'redriven', state_since = clock_timestamp()
 where d.group_id = $1 and d.partition_id = $2 and d.log_offset = $3 and d.state = 'redriving';
