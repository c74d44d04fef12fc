-- Notes that a record is begun alone after a crash; returns how often it has been, including this time. The fence
-- follows in the same transaction.
-- Params: groupId integer, partitionId integer, offset bigint
-- Returns: charges integer
-- Index: crash_charge_offset
with charged as (
  insert into :schema.crash_charge (group_id, partition_id, log_offset) values ($1, $2, $3) returning 1
)
select (select count(*) from :schema.crash_charge c
         where c.group_id = $1 and c.partition_id = $2 and c.log_offset = $3)::integer
       + (select count(*) from charged)::integer as charges;
