-- What the outbox takes of the disk, and what is quarantined.
-- Params: none
-- Returns: bytes bigint
select sum(pg_total_relation_size(i.inhrelid))::bigint as bytes
  from pg_inherits i where i.inhparent = ':schema.outbox'::regclass;
