-- The service's id; binds the service to a bus at its first contact. Raises WB054 for another bus.
-- Params: busId uuid
-- Returns: serviceId text
-- Locks: the service's row, the first time
select :schema.service_bind($1::uuid)::text as "serviceId";
