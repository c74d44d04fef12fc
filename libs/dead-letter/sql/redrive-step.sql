-- One step of a redrive, of up to most dead letters; no row if there is no such redrive.
-- Params: id bigint, most integer
-- Returns: id bigint, actor text, perSecond integer, total bigint, redriven bigint, state text
-- Locks: the redrive's row, then the dead letters by id
select r.id, r.actor, r.per_second as "perSecond", r.total, r.redriven, r.state
  from :schema.redrive_step($1, $2) r;
