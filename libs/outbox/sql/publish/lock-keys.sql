-- Makes publishers of one key take turns, for order 'strict': each key maps to one of 1,024 locks, taken in ascending
-- order.
-- Params: keys jsonb
-- Returns: locks integer
-- Locks: advisory, until the caller's transaction ends
select count(pg_advisory_xact_lock(hashtext(':schema.key'), k.bucket))::integer as locks
  from (select distinct abs(hashtext(e.value) % 1024) as bucket
          from jsonb_array_elements_text($1::jsonb) as e (value)
         order by 1) k;
