-- The login of the session, and whether it is restricted to certain topics and groups.
-- Params: none
-- Returns: login text, restricted boolean
select session_user::text as login, not :schema.acl_open() as restricted;
