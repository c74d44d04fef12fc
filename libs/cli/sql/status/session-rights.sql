-- Which database this is, in which cluster, whether its server is a standby, and whether the login sees the sessions of others.
-- Params: none
-- Returns: cluster text, database text, login text, seesAll boolean, isStandby boolean
select (select c.system_identifier from pg_control_system() c)::text as cluster, current_database()::text as database,
       session_user::text as login, pg_has_role('pg_read_all_stats', 'USAGE') as "seesAll",
       pg_is_in_recovery() as "isStandby";
