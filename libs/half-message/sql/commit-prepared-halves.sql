-- Commits prepared half messages whose content is known; raises WB008 if one is no longer prepared.
-- Params: ids uuid[], by text
-- Returns: none
-- Locks: the half messages, in the order of their ids
-- Index: half_message_pkey
select :schema.half_commit_prepared($1, $2);
