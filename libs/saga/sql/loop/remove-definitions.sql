-- Removes definitions that no process has had for a given time, and that no saga uses.
-- Params: olderThanMs bigint
-- Returns: none
delete from :schema.saga_definition d
 where d.seen_at < clock_timestamp() - $1::bigint::double precision * interval '1 millisecond'
   and not exists (select from :schema.saga s
                    where s.reply_topic = d.reply_topic and s.saga_type = d.saga_type
                      and s.definition_version = d.definition_version);
