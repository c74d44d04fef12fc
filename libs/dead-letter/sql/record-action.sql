-- Records an operator's action.
-- Params: statedBy text, action text, targetKind text, target text, reason text?, details jsonb
-- Returns: none
insert into :schema.operator_action (stated_by, action, target_kind, target, reason, details)
values ($1, $2, $3, $4, $5, $6::jsonb);
