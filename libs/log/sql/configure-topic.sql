-- Changes how a topic is kept and handled; null leaves a setting as it is.
-- Params: name text, retentionMs bigint?, onDeadLetter text?, onExpired text?
-- Returns: name text
update :schema.topic t
   set retention_ms = coalesce($2, t.retention_ms), on_dead_letter = coalesce($3, t.on_dead_letter),
       on_expired = coalesce($4, t.on_expired)
 where t.name = $1
returning t.name;
