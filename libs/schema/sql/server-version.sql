-- The server's version, as a number to compare and as a text to show; and the schemas of the search path, in search
-- order, separated by commas.
-- Params: none
-- Returns: versionNumber integer, version text, searched text
select current_setting('server_version_num')::integer as "versionNumber", current_setting('server_version') as version,
       array_to_string(current_schemas(true), ',') as searched
