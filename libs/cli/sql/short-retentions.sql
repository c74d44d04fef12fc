-- Topics that keep their records for less than a time.
-- Params: horizonMs bigint
-- Returns: name text, retentionMs bigint
select t.name, t.retention_ms as "retentionMs"
  from :bus.topic t
 where t.retention_ms < $1::bigint
 order by t.name;
