import type { Pool } from 'pg';
import type { OwnedEffect } from '../checkers/evidence.js';

/**
 * Who owned a partition when an effect in it was committed, as the service's database says. Members are known to a trigger on
 * the row that they take: the taking session is named after the process. The other trigger is deferred: it runs at the
 * commit, behind the fence.
 */
const TABLES = `
  create table public.member_process (member_id uuid primary key, process text not null);
  create function public.note_member() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
  begin
    insert into public.member_process values (new.member_id, current_setting('application_name')) on conflict do nothing;
    return null;
  end $$;
  create trigger note_member after insert or update on waybill.progress_owner
    for each row execute function public.note_member();
  create table public.ledger_owner (
    ledger_id bigint not null, owner_epoch bigint not null, owner text, writer text not null);
  create function public.note_owner() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
  begin
    insert into public.ledger_owner
    select new.id, o.owner_epoch, m.process, current_setting('application_name')
      from waybill.progress_owner o
      join waybill.consumer_group g on g.id = o.group_id
      join waybill.topic_partition p on p.id = o.partition_id
      join waybill.topic t on t.id = p.topic_id
      left join public.member_process m on m.member_id = o.member_id
     where g.name = new.consumer and t.name = TG_ARGV[0] and p.number = new.partition;
    return null;
  end $$;`;

/** Creates them, for effects of a topic's messages in the table `ledger`. */
export async function watchOwners(pool: Pool, topic: string): Promise<void> {
  await pool.query(TABLES);
  await pool.query(
    `create constraint trigger note_owner after insert on ledger deferrable initially deferred
       for each row execute function public.note_owner('${topic}')`,
  );
}

/** The effects, with their owners. */
export async function readOwners(pool: Pool): Promise<OwnedEffect[]> {
  const { rows } = await pool.query<OwnedEffect>(
    `select l.consumer as "group", l.partition, l.n, o.owner_epoch::integer as "ownerEpoch", o.owner, o.writer
       from public.ledger_owner o join ledger l on l.id = o.ledger_id order by l.id`,
  );
  return rows;
}
