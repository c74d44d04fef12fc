-- Writes the verdict on records: 1 done, 2 dead, 3 parked, 4 expired, 5 dropped.
-- Params: groupId integer, partitionId integer, offsets bigint[], verdict integer
-- Returns: none
insert into :schema.delivery_mark (group_id, partition_id, log_offset, verdict)
select $1::integer, $2::integer, o.log_offset, $4::smallint from unnest($3::bigint[]) as o (log_offset);
