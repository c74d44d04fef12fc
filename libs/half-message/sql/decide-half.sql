-- Decides on a half message: 2 commits, 3 rolls back. Returns its content if this call decided it.
-- Params: id uuid, verdict integer, by text, reason text?, epoch bigint?, fromStates integer[]
-- Returns: outcome text, state integer?, decidedBy text?, reason text?, nowMs bigint?, messages jsonb?, payloads bytea[]?
-- Locks: the half message
-- Index: half_message_pkey, half_message_decided_id
select d.outcome, d.state::integer as state, d.decided_by as "decidedBy", d.reason, d.now_ms as "nowMs", d.messages,
       d.payloads
  from :schema.half_decide($1, $2::smallint, $3, $4, $5, $6::smallint[]) d;
