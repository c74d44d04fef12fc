-- The passes of a source from a number on, as far as the log remembers them, with where their records are.
-- Params: serviceId uuid, fromN bigint
-- Returns: n bigint, token text, partitionIds integer[], baseOffsets bigint[], lastOffsets bigint[]
-- Index: log_source_n
select p.n, p.token::text as token, p.partition_ids as "partitionIds", p.base_offsets as "baseOffsets",
       p.last_offsets as "lastOffsets"
  from :bus.source_passes($1::uuid, $2) p;
