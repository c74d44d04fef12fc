-- Stores the result of a message that the same transaction has entered, for keepMs milliseconds.
-- Params: consumer text, messageId text, keepMs bigint, result text?
-- Returns: kept boolean
select :schema.message_keep($1, $2, $3, $4) as kept;
