-- The server's version, as a number to compare and as a text to show.
-- Params: none
-- Returns: versionNumber integer, version text
select current_setting('server_version_num')::integer as "versionNumber", current_setting('server_version') as version;
