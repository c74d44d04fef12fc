-- Consumer groups: members, and the partitions that are granted to them. A grant is advice: what decides about effects is
-- in the database of the service whose members these are.

-- service_id: the service that all members of the group belong to, since the first has joined.
create table :schema.consumer_group (
  id         integer generated always as identity primary key,
  name       text not null unique check (length(name) between 1 and 249),
  service_id uuid,
  generation bigint not null default 0,
  created_at timestamptz not null default clock_timestamp()
);

create table :schema.group_member (
  group_id    integer not null references :schema.consumer_group (id),
  member_id   uuid not null,
  topics      text[] not null,
  lease_until timestamptz not null,
  joined_at   timestamptz not null default clock_timestamp(),
  primary key (group_id, member_id)
);

-- One row per (group, partition), changed only when the partition changes hands (or is about to). taken_epoch is the
-- highest owner epoch that a member has reported from its service's database.
create table :schema.partition_owner (
  group_id     integer not null references :schema.consumer_group (id),
  partition_id integer not null references :schema.topic_partition (id),
  owner_id     uuid,
  owner_epoch  bigint not null default 0,
  target_id    uuid,
  taken_epoch  bigint not null default 0,
  primary key (group_id, partition_id)
);

-- Positions as members report them now and then, so that lag is seen in one place. They decide nothing.
create table :schema.reported_position (
  group_id     integer not null references :schema.consumer_group (id),
  partition_id integer not null references :schema.topic_partition (id),
  position     bigint not null,
  reported_at  timestamptz not null default clock_timestamp(),
  primary key (group_id, partition_id)
) with (fillfactor = 50);

-- The id of a group, for a member of a service; creates the group. Raises WB055 when its members are of another service.
create function :schema.group_join(group_name text, of_service uuid) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  known record;
begin
  insert into :schema.consumer_group (name, service_id) values (group_name, of_service) on conflict (name) do nothing;
  select g.id, g.service_id into known from :schema.consumer_group g where g.name = group_name;
  if known.service_id is null then
    update :schema.consumer_group g set service_id = of_service where g.id = known.id and g.service_id is null;
    select g.id, g.service_id into known from :schema.consumer_group g where g.id = known.id;
  end if;
  if known.service_id <> of_service then
    raise exception using errcode = 'WB055', detail = group_name, message = format(
      'group %s belongs to service %s, and service %s wants to join it', group_name, known.service_id, of_service);
  end if;
  return known.id;
end
$$;

-- Like group_release, for several partitions; returns the released ones. One whose row another session holds is left
-- unchanged: a batch waits only for the group's lock.
create function :schema.group_release_all(of_group integer, partition_ids integer[], by_member uuid)
returns setof integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  perform from :schema.consumer_group g where g.id = of_group for update;
  return query
  with free as (
    select c.partition_id from :schema.partition_owner c
     where c.group_id = of_group and c.partition_id = any (partition_ids) and c.owner_id = by_member
     order by c.partition_id
       for update skip locked
  )
  update :schema.partition_owner o
     set owner_id = o.target_id, owner_epoch = o.owner_epoch + 1, target_id = null
    from free f
   where o.group_id = of_group and o.partition_id = f.partition_id
  returning o.partition_id;
end
$$;

-- Extends the member's lease; joins the group if it is not (or no longer) in it.
create function :schema.group_heartbeat(of_group integer, by_member uuid, on_topics text[], lease_ms integer)
returns void
language sql set search_path = pg_catalog, pg_temp
as $$
  insert into :schema.group_member as m (group_id, member_id, topics, lease_until)
  values (of_group, by_member, on_topics, clock_timestamp() + lease_ms * interval '1 millisecond')
  on conflict (group_id, member_id) do update
     set lease_until = excluded.lease_until, topics = excluded.topics;
$$;

-- Assigns partitions to members. The caller holds the group's lock. A partition whose owner is alive is only promised
-- (target_id): it changes hands when the owner releases it, or when its lease has expired.
create function :schema.group_assign(of_group integer, partition_ids integer[], member_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  insert into :schema.partition_owner (group_id, partition_id)
  select of_group, p.id from unnest(partition_ids) as p (id) order by p.id
  on conflict do nothing;

  with decided as (
    select c.partition_id, a.member_id,
           not exists (select from :schema.group_member m
                        where m.group_id = of_group and m.member_id = c.owner_id
                          and m.lease_until > clock_timestamp()) as free
      from :schema.partition_owner c
      join unnest(partition_ids, member_ids) as a (partition_id, member_id) using (partition_id)
     where c.group_id = of_group
  )
  update :schema.partition_owner o
     set owner_id    = case when d.free then d.member_id else o.owner_id end,
         owner_epoch = case when d.free then o.owner_epoch + 1 else o.owner_epoch end,
         target_id   = case when d.free or d.member_id = o.owner_id then null else d.member_id end
    from decided d
   where o.group_id = of_group and o.partition_id = d.partition_id
     and (d.free and (o.owner_id is distinct from d.member_id or o.target_id is not null)
          or not d.free and o.target_id is distinct from nullif(d.member_id, o.owner_id));

  update :schema.consumer_group g set generation = g.generation + 1 where g.id = of_group;
end
$$;

-- Releases a partition, in any epoch in which the member owns it: it goes to the member it is promised to, or to none.
create function :schema.group_release(of_group integer, of_partition integer, by_member uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  perform from :schema.consumer_group g where g.id = of_group for update;
  update :schema.partition_owner o
     set owner_id = o.target_id, owner_epoch = o.owner_epoch + 1, target_id = null
   where o.group_id = of_group and o.partition_id = of_partition and o.owner_id = by_member;
end
$$;

-- Notes the owner epochs that a member has taken in its service's database, upwards only, for partitions that are granted
-- to it under these grants. Returns, for each, the highest that had been reported before.
create function :schema.group_report_taken(of_group integer, partition_ids integer[], by_member uuid, grants bigint[],
                                           taken bigint[])
returns table (of_partition integer, taken_before bigint)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  with report as materialized (
    select o.partition_id, o.taken_epoch, w.epoch
      from unnest(partition_ids, grants, taken) as w (id, granted, epoch)
      join :schema.partition_owner o on o.group_id = of_group and o.partition_id = w.id
     where o.owner_id = by_member and o.owner_epoch = w.granted
     order by o.partition_id
       for update of o
  ), noted as (
    update :schema.partition_owner o set taken_epoch = r.epoch
      from report r
     where o.group_id = of_group and o.partition_id = r.partition_id and r.epoch > o.taken_epoch
  )
  select r.partition_id, r.taken_epoch from report r;
end
$$;

-- Stores positions that a member reports.
create function :schema.group_report_positions(of_group integer, partition_ids integer[], positions bigint[]) returns void
language sql set search_path = pg_catalog, pg_temp
as $$
  insert into :schema.reported_position as r (group_id, partition_id, position)
  select of_group, w.id, w.position from unnest(partition_ids, positions) as w (id, position) order by w.id
  on conflict (group_id, partition_id) do update set position = excluded.position, reported_at = excluded.reported_at
   where r.position <> excluded.position;
$$;
