-- Passes in a range, with all their versions.
-- Params: fromN bigint, toN bigint
-- Returns: n bigint, version integer, token text, tokenBefore text?, base pg_snapshot, target pg_snapshot, afterId bigint,
--   uptoId bigint, rowCount integer, excluded bigint[]
-- Index: relay_intent_n
select i.n, i.version, i.token::text as token, i.token_before::text as "tokenBefore", i.base, i.target,
       i.after_id as "afterId", i.upto_id as "uptoId", i.row_count as "rowCount", i.excluded
  from :schema.relay_intents($1, $2) i;
