-- What the outbox takes of the disk, messages that have been moved included.
-- Params: none
-- Returns: bytes bigint
select sum(pg_total_relation_size(i.inhrelid::regclass))::bigint as bytes
  from pg_inherits i where i.inhparent = ':schema.outbox'::regclass::oid;
