-- Writes one migration into the ledger, in the transaction that applied it.
-- Params: number integer, name text, checksum text, breaking boolean
-- Returns: none
insert into :schema.migration (number, name, checksum, breaking) values ($1, $2, $3, $4);
