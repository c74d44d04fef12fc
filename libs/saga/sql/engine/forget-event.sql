-- Ends a step's wait for its event.
-- Params: sagaId uuid, step text
-- Returns: none
-- Index: saga_event_wait_pkey
delete from :schema.saga_event_wait w where w.saga_id = $1::uuid and w.step = $2::text;
