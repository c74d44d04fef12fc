-- Keeps what an operator did: the actor is the login, and the name that was given is kept beside it.
-- Params: givenName text, action text, targetKind text, target text, reason text?, details jsonb
-- Returns: none
insert into :schema.operator_action (action, target_kind, target, reason, details)
values ($2, $3, $4, $5, $6::jsonb || jsonb_build_object('by', $1::text));
