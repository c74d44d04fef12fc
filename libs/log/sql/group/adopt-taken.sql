-- Notes owner epochs of a group as they are in its service's database, also lower ones: for an operator.
-- Params: groupName text, partitionIds integer[], ownerEpochs bigint[]
-- Returns: none
-- Locks: the owners' rows
update :bus.partition_owner o
   set taken_epoch = w.epoch
  from unnest($2::integer[], $3::bigint[]) as w (id, epoch), :bus.consumer_group g
 where g.name = $1 and o.group_id = g.id and o.partition_id = w.id;
