-- The login of the session.
-- Params: none
-- Returns: login text
select session_user::text as login;
