-- Restricted logins, and their entries.
-- Params: none
-- Returns: login text, action text?, topics text?, groups text?
-- Index: the whole of two small tables
select l.login, a.action, a.topic_pattern as topics, a.group_pattern as groups
  from :schema.acl_login l
  left join :schema.acl a on a.login = l.login
 order by l.login, a.action, a.topic_pattern, a.group_pattern;
