-- Makes a parked message whose attempt failed wait for the next one. A delay of -1: an operator decides on its dead
-- letter.
-- Params: groupId integer, partitionId integer, offset bigint, attempts integer, delayMs bigint, failingForMs bigint
-- Returns: none
-- Index: parked_message_pkey
update :schema.parked_message m
   set attempts = $4, in_flight = false, crashes = 0,
       due_at = case when $5::bigint < 0 then 'infinity'
                     else clock_timestamp() + $5::bigint::double precision * interval '1 millisecond' end,
       first_failed_at = clock_timestamp() - $6::bigint::double precision * interval '1 millisecond',
       from_dead_letter = m.from_dead_letter or $5::bigint < 0
 where m.group_id = $1 and m.partition_id = $2 and m.log_offset = $3;
