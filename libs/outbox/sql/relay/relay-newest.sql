-- The newest pass.
-- Params: none
-- Returns: n bigint, token text, confirmedN bigint, madeMsAgo bigint
-- Index: relay_intent_n
select w.n, w.token::text as token, w.confirmed_n as "confirmedN", w.made_ms_ago as "madeMsAgo"
  from :schema.relay_newest() w;
