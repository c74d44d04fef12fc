// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.
import type { Migration } from '../../migration.js';

export const serviceMigration0019: Migration = {
  number: 19,
  name: '0019-relay-repair',
  breaking: false,
  checksum: '8cc9c08c083928b6031e8ef431b1d56d6d9336520a6e09b6707e641b9e4044d3',
  sql: `-- What a relay and an operator do when log and outbox disagree.

-- Makes passes again that the log does not hold, the first of them without the rows that it refuses: in new versions under new
-- tokens, each behind the one before. The refused rows are set aside in the same transaction. The caller holds the relay's
-- lock, from relay_begin in the same transaction. Raises WB004 when another relay has been faster.
create function :schema.relay_amend(first_n bigint, newest_n bigint, newest_token uuid, refused bigint[]) returns void
language plpgsql security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  newest record;
  old record;
  before uuid;
  made uuid;
begin
  perform :schema.acl_assert_open('relay');
  select i.n, i.token into newest from :schema.relay_intent i order by i.n desc, i.version desc limit 1;
  if newest.n <> newest_n or newest.token <> newest_token then
    raise exception using errcode = 'WB004',
      message = format('another relay made pass %s after pass %s', newest.n, newest_n);
  end if;
  perform :schema.commit_to_disk();
  for number in first_n .. newest_n loop
    select i.* into old from :schema.relay_intent i where i.n = number order by i.version desc limit 1;
    made := gen_random_uuid();
    insert into :schema.relay_intent (slot, n, version, token, token_before, base, target, after_id, upto_id, end_id, row_count,
                                      excluded, confirmed_n, system_identifier)
    values (old.slot, number, old.version + 1, made, case when number = first_n then old.token_before else before end, old.base,
            old.target, old.after_id, old.upto_id, old.end_id, old.row_count,
            case when number = first_n then old.excluded || refused else old.excluded end, old.confirmed_n,
            old.system_identifier);
    before := made;
  end loop;
end
$$;

-- Goes back to the version of a pass that the log turns out to hold: an append whose answer was lost took effect after the
-- pass had been made again without some rows. Those are in the log, so they are not set aside any more. Passes after it
-- follow on that version. The caller holds the relay's lock, like for relay_amend.
create function :schema.relay_restore_version(of_n bigint, held uuid, newest_n bigint, newest_token uuid) returns void
language plpgsql security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  kept record;
  dropped bigint[];
  last_version integer;
begin
  select i.* into kept from :schema.relay_intent i where i.n = of_n and i.token = held order by i.version desc limit 1;
  select i.version, i.excluded into last_version, dropped
    from :schema.relay_intent i where i.n = of_n order by i.version desc limit 1;
  insert into :schema.relay_intent (slot, n, version, token, token_before, base, target, after_id, upto_id, end_id, row_count,
                                    excluded, confirmed_n, system_identifier)
  values (kept.slot, of_n, last_version + 1, held, kept.token_before, kept.base, kept.target, kept.after_id, kept.upto_id,
          kept.end_id, kept.row_count, kept.excluded, kept.confirmed_n, kept.system_identifier);
  delete from :schema.outbox_quarantine q
   where q.origin = 'outbox' and q.id = any (dropped) and q.id <> all (kept.excluded);
  if of_n < newest_n then
    perform :schema.relay_amend(of_n + 1, newest_n, newest_token, '{}');
    update :schema.relay_intent i set token_before = held
     where i.n = of_n + 1 and i.version = (select max(v.version) from :schema.relay_intent v where v.n = of_n + 1);
  end if;
end
$$;

-- For an operator, with all publishers stopped: starts over from what service and log both know, after the service's database
-- went back in time, or was restored from a dump into another cluster. common_n: the newest pass that both know; bus_n and
-- bus_token: the newest of the log; in_log: the ids of the messages of passes that only the log knows. Keeps the messages
-- that are not in the log, under new ids and transaction ids, as published by the operator. If the log has lost so much that
-- the service remembers no pass that it holds, all rows that the outbox still has are of later ones. The transaction ids and passes
-- as they were dumped match each other, and show which messages had been moved; messages newer than the last pass have been
-- published since, here or there. Timer changes took effect here, with this database's own newest pass. Returns the number
-- of rows kept.
create function :schema.relay_reconcile(common_n bigint, bus_n bigint, bus_token uuid, in_log uuid[]) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  -- The rows to be moved are those that it does not show. Taken before this transaction has an id: one that is taken later shows
  -- the rows that it inserts as soon as a younger transaction has ended, and the relay would leave them out.
  before pg_snapshot := pg_current_snapshot();
  common record;
  newest record;
  kept bigint;
begin
  perform :schema.assert_read_committed('reconciling');
  if pg_current_xact_id_if_assigned() is not null then
    raise exception using errcode = '25001', message = 'reconciling must be the first statement of its transaction';
  end if;
  perform pg_advisory_xact_lock(hashtext(':schema.relay'), 0);
  lock table :schema.outbox in access exclusive mode;
  perform :schema.commit_to_disk();
  select i.* into common from :schema.relay_intent i where i.n = common_n order by i.version desc limit 1;
  select i.* into newest from :schema.relay_intent i order by i.n desc, i.version desc limit 1;
  if common.n is null and bus_n >= (select min(i.n) from :schema.relay_intent i) then
    raise exception using errcode = 'WB052', message = format('pass %s is not among those that the service remembers', common_n);
  end if;
  create temporary table kept_message on commit drop as
    select o.* from :schema.outbox o
     where (o.timer_action is not null or not o.message_id = any (in_log))
       and (o.created_at > newest.made_at
            or o.timer_action is null and common.n is null
            or o.timer_action is null and not pg_visible_in_snapshot(o.xid, common.base)
               and not (pg_visible_in_snapshot(o.xid, common.target)
                        and (common.upto_id >= common.end_id or o.id <= common.upto_id))
            or o.timer_action is not null and not pg_visible_in_snapshot(o.xid, newest.base)
               and not (pg_visible_in_snapshot(o.xid, newest.target)
                        and (newest.upto_id >= newest.end_id or o.id <= newest.upto_id)));
  truncate :schema.outbox, :schema.relay_intent;
  insert into :schema.outbox (message_id, topic, partition_number, key, headers, payload, created_at,
                              timer_action, deliver_at, timer_token, control, expires_at_ms, signature)
  select k.message_id, k.topic, k.partition_number, k.key, k.headers, k.payload, k.created_at,
         k.timer_action, k.deliver_at, k.timer_token, k.control, k.expires_at_ms, k.signature
    from kept_message k order by k.id;
  get diagnostics kept = row_count;
  insert into :schema.relay_intent (slot, n, token, base, target, after_id, upto_id, end_id, row_count, confirmed_n,
                                    system_identifier)
  select (bus_n / 10000 % 3)::smallint, bus_n, bus_token, before, before, 0, 0, 0, 0, bus_n, c.system_identifier
    from pg_control_system() c;
  return kept;
end
$$;
`,
};
