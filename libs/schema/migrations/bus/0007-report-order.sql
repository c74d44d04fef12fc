-- A report that arrives late does not replace a newer one.

-- The owner epoch under which the position was stored in the service's database: positions only grow within one.
alter table :schema.reported_position add column owner_epoch bigint not null default 0;

-- Stores positions that a member reports, with the owner epochs under which it stored them. The member that had a partition
-- before may report after its next owner did, and a statement whose answer was lost may arrive behind a later one.
-- group_report_positions, without epochs, is for members of earlier releases.
create function :schema.group_report_progress(
  of_group integer, partition_ids integer[], owner_epochs bigint[], positions bigint[])
returns void
language sql set search_path = pg_catalog, pg_temp
as $$
  insert into :schema.reported_position as r (group_id, partition_id, owner_epoch, position)
  select of_group, w.id, w.epoch, w.position
    from unnest(partition_ids, owner_epochs, positions) as w (id, epoch, position) order by w.id
  on conflict (group_id, partition_id) do update
     set owner_epoch = excluded.owner_epoch, position = excluded.position,
         reported_at = case when r.position = excluded.position then r.reported_at else excluded.reported_at end
   where (r.owner_epoch, r.position) < (excluded.owner_epoch, excluded.position);
$$;
