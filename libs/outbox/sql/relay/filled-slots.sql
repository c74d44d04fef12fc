-- The slots of the outbox whose files are not empty. Asked after a pass has its snapshot: a row that is visible in that has
-- extended its slot's file before.
-- Params: none
-- Returns: slots integer[]
-- Locks: each slot, shared, for a moment
select array(select s.slot from generate_series(0, 7) as s (slot)
              where pg_relation_size(format('%s%s', ':schema.outbox_s', s.slot)::regclass) > 0
              order by s.slot) as slots;
