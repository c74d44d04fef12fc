-- Records the result of a check without a verdict: UNKNOWN counts, a failed check does not. It is due again after a
-- wait that doubles: from its own interval to intervalMaxMs after UNKNOWN, from retryMs to retryMaxMs after a failed
-- check. It becomes undecided when it has been checked often enough, its deadline has passed, or its checks have failed
-- for failingMs (0: never for this reason) and at least failuresMin times in a row. failure: the code or class of the
-- failure; null if the check did not fail. No row: a newer claim exists.
-- Params: id uuid, epoch bigint, counts boolean, answer text, intervalMaxMs bigint, retryMs bigint, retryMaxMs bigint,
--   failure text?, failingMs bigint, failuresMin integer
-- Returns: undecided boolean
-- Index: half_message_pkey
update :schema.half_message h
   set checks = h.checks + $3::boolean::integer,
       unanswered = case when $3 then 0 else h.unanswered + 1 end,
       last_result = $4,
       claimed_by = null,
       failing_since = case when $8::text is not null then coalesce(h.failing_since, clock_timestamp()) end,
       last_failure = $8::text,
       next_check_at = clock_timestamp() + interval '1 millisecond'
         * case when $3 then least(h.check_interval_ms::double precision
                                     * power(2::double precision, least(h.checks, 30)::double precision),
                                   greatest(h.check_interval_ms, $5::bigint))
                else least($6::bigint::double precision
                             * power(2::double precision, least(h.unanswered, 30)::double precision),
                           $7::bigint) end,
       state = case
         when ($3 and h.checks + 1 >= h.check_max) or h.deadline_at <= clock_timestamp() then 4
         when $8::text is not null and $9::bigint > 0 and h.unanswered + 1 >= $10::integer
          and h.failing_since <= clock_timestamp() - $9::bigint::double precision * interval '1 millisecond' then 4
         else 1 end
 where h.id = $1 and h.state = 1 and h.lease_epoch = $2
returning h.state = 4 as undecided;
