-- Removes a recurring message. Its timer finds it gone, and does nothing.
-- Params: name text
-- Returns: name text
delete from :schema.recurring_message r where r.name = $1 returning r.name;
