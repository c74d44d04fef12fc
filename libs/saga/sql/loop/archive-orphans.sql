-- Moves ended children whose parent has ended before them to the ended sagas.
-- Params: none
-- Returns: none
-- Locks: those children
-- Index: saga_orphan
with gone as (
  delete from :schema.saga s
   where s.parent_id is not null and s.state >= 4
     and not exists (select from :schema.saga p where p.id = s.parent_id)
  returning s.*
)
insert into :schema.saga_ended (slot, id, saga_type, definition_version, saga_key, reply_topic, state, revision, started_at,
                                ended_at, parent_id, parent_step, reason, content)
select :schema.saga_slot(g.id), g.id, g.saga_type, g.definition_version, g.saga_key, g.reply_topic, g.state, g.revision,
       g.started_at, g.changed_at, g.parent_id, g.parent_step, g.reason, g.content
  from gone g;
