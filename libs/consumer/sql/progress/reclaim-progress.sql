-- Raises the epochs of partitions that are in the given ones; no row for those of another owner. If a delivery still holds
-- the row, which this does not wait for, the epoch stays and null is returned. Late transactions with the old epoch fail:
-- afterwards it is certain which of the owner's transactions with lost responses have been committed.
-- Params: groupId integer, partitionIds integer[], ownerEpochs bigint[]
-- Returns: partitionId integer, ownerEpoch bigint?, incarnation bigint
-- Locks: the owners' rows that are free
-- Index: progress_owner_pkey
with mine as (
  select o.partition_id, o.owner_epoch
    from unnest($2::integer[], $3::bigint[]) as w (id, epoch)
    join :schema.progress_owner o on o.group_id = $1 and o.partition_id = w.id and o.owner_epoch = w.epoch
), free as (
  select o.partition_id
    from :schema.progress_owner o
    join mine i on i.partition_id = o.partition_id and i.owner_epoch = o.owner_epoch
   where o.group_id = $1
   order by o.partition_id
     for update of o skip locked
), raised as (
  update :schema.progress_owner o
     set owner_epoch = o.owner_epoch + 1::bigint
    from free f
   where o.group_id = $1 and o.partition_id = f.partition_id
  returning o.partition_id, o.owner_epoch
)
select m.partition_id as "partitionId", r.owner_epoch as "ownerEpoch", :schema.incarnation() as incarnation
  from mine m
  left join raised r on r.partition_id = m.partition_id;
