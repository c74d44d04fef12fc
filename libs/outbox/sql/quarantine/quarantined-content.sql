-- Headers and payload of one quarantined message.
-- Params: id bigint
-- Returns: headers text?, payload bytea?
-- Index: outbox_quarantine_pkey
select q.headers::text as headers, q.payload from :schema.outbox_quarantine q where q.quarantine_id = $1;
