-- The outbox's size on disk, including messages that have been moved.
-- Params: none
-- Returns: bytes bigint
select sum(pg_total_relation_size(i.inhrelid::regclass))::bigint as bytes
  from pg_inherits i where i.inhparent = ':schema.outbox'::regclass::oid;
