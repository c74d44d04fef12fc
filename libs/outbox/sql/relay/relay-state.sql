-- The newest pass, whether it was made in this cluster, and the tokens that a pass of this number has had; none if its row
-- has left the ring.
-- Params: ofN bigint
-- Returns: n bigint, confirmedN bigint, madeAgeMs bigint, rowCount integer, inWindows boolean, isOfThisCluster boolean,
--   tokensOfN text[]
-- Index: relay_intent_n
select i.n, i.confirmed_n as "confirmedN", floor(extract(epoch from clock_timestamp() - i.made_at) * 1000.0)::bigint as "madeAgeMs",
       i.row_count as "rowCount", i.upto_id < i.end_id as "inWindows",
       i.system_identifier = (select c.system_identifier from pg_control_system() c) as "isOfThisCluster",
       array(select v.token::text from :schema.relay_intent v where v.n = $1) as "tokensOfN"
  from :schema.relay_intent i
 order by i.n desc, i.version desc
 limit 1;
