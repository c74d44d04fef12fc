-- Where a hand-over of the same transaction has put its batches, and the server's start: a statement of its own, because the
-- hand-over has waited for locks.
-- Params: none
-- Returns: bucketSeq bigint, incarnation bigint
-- Locks: none; the hand-over holds the structure's, so that the newest bucket stays the same
select max(b.seq) as "bucketSeq",
       (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000::double precision)::bigint as incarnation
  from :bus.log_bucket b;
