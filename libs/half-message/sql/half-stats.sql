-- Number of open and of undecided half messages (both counted up to 100,000), and the age of the oldest.
-- Params: none
-- Returns: open integer, undecided integer, oldestOpenAgeMs bigint?
-- Index: half_message_pkey, half_message_undecided
select (select count(*) from (select from :schema.half_message limit 100000) o)::integer as open,
       (select count(*) from (select from :schema.half_message h where h.state = 4 limit 100000) u)::integer
         as undecided,
       (select floor(extract(epoch from clock_timestamp() - h.prepared_at) * 1000.0)::bigint
          from :schema.half_message h order by h.id limit 1) as "oldestOpenAgeMs";
