-- What kind of server this is, and what its sessions begin with unless they say otherwise.
-- Params: none
-- Returns: versionNumber integer, version text, isolation text, now timestamptz
select current_setting('server_version_num')::integer as "versionNumber",
       current_setting('server_version') as version,
       (select s.reset_val from pg_settings s where s.name = 'default_transaction_isolation') as isolation,
       clock_timestamp() as now;
