-- The ledger of the log's migrations, oldest first.
-- Params: none
-- Returns: number integer, name text, checksum text, breaking boolean, appliedAt timestamptz
-- Index: the whole of a small table
select m.number, m.name, m.checksum, m.breaking, m.applied_at as "appliedAt"
  from :bus.migration m
 order by m.number;
