import type { Pool } from 'pg';
import type { Passes } from '../checkers/evidence.js';

/** Every pass that the log took, noted when it was appended: its ring forgets them. A pass that is carried forward is the same. */
const LOGGED = `
  create table public.logged_pass (
    source_id integer not null, n bigint not null, token uuid not null, primary key (source_id, n, token));
  create function public.note_logged() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
  begin
    insert into public.logged_pass values (new.source_id, new.n, new.token) on conflict do nothing;
    return null;
  end $$;
  create trigger note_logged after insert on waybill_bus.log_source for each row execute function public.note_logged();`;

/** Every pass that the service intended. */
const INTENDED = `
  create table public.intended_pass (n bigint not null, token uuid not null, confirmed_n bigint not null);
  create function public.note_intended() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
  begin
    insert into public.intended_pass values (new.n, new.token, new.confirmed_n);
    return null;
  end $$;
  create trigger note_intended after insert on waybill.relay_intent for each row execute function public.note_intended();`;

/** Notes the passes of a service's outbox. */
export async function watchIntended(service: Pool): Promise<void> {
  await service.query(INTENDED);
}

/** Notes the passes of all services where the log takes them. */
export async function watchLogged(bus: Pool): Promise<void> {
  await bus.query(LOGGED);
}

/** The passes of a service's outbox. */
export async function readPasses(service: Pool, bus: Pool): Promise<Passes> {
  const own = await service.query<{ id: string }>('select id::text as id from waybill.service');
  const logged = await bus.query<{ n: number; token: string }>(
    `select l.n::integer as n, l.token from public.logged_pass l
       join waybill_bus.source s on s.id = l.source_id and s.service_id = $1 order by l.n`,
    [own.rows[0]?.id],
  );
  const intended = await service.query<{ n: number; token: string; confirmed: number }>(
    `select i.n::integer as n, i.token, i.confirmed_n::integer as confirmed from public.intended_pass i order by i.n`,
  );
  return { logged: logged.rows, intended: intended.rows, inOneTransaction: service === bus };
}
