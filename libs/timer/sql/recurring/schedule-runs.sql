-- Schedules the next runs of recurring messages.
-- Params: names text[], revisions bigint[], runAtMs bigint[]
-- Returns: dueMs bigint
-- Locks: none but the new rows
with next_run as materialized (
  select n.*, :schema.timer_due(timestamptz 'epoch' + n.run_at_ms::double precision * interval '1 millisecond') as due_at
    from unnest($1::text[], $2::bigint[], $3::bigint[]) as n (name, revision, run_at_ms)
)
insert into :schema.timer as t (slot, due_at, kind, token, headers)
select :schema.timer_slot(n.due_at), n.due_at, 2, n.name,
       jsonb_build_object('revision', n.revision, 'runAtMs', n.run_at_ms)
  from next_run n
returning :schema.timer_ms(t.due_at) as "dueMs";
