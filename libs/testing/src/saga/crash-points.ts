import type { PgDatabase } from '@waybill/kernel';
import { busSchemaOf, renderSql } from '@waybill/kernel/internal';
import pg from 'pg';
import { TestingError } from '../testing-error.js';
import { CRASH_NOTICE } from './gated-connection.js';

/** The operation of a participant for a command. */
export type CrashOperation = 'action' | 'compensate' | 'try' | 'confirm' | 'cancel';

/** A crash of a participant, at the next command of a step. */
export interface CrashAtStep {
  /** The step; for a `forEach`, all of its items, or one as `reserve[key]`. */
  readonly at: string;
  /** Default `action`. */
  readonly op?: CrashOperation;
  /**
   * `before-action`: the command was received, its handler has not run. `before-commit`: the handler has run, and
   * everything is written. `after-commit`: it is committed, and the service is never told.
   */
  readonly when: 'before-action' | 'before-commit' | 'after-commit';
  /** Only for this saga, by its id. */
  readonly saga?: string;
}

/** A crash of the service with the sagas, in a transition. */
export interface CrashAtTransition {
  /**
   * The step whose reply, signal, event or local action triggers the transition, or another trigger: `start`, `due`,
   * `cancel`, `compensate`.
   */
  readonly transition: string;
  /** Only for this operation of the step. */
  readonly op?: CrashOperation;
  readonly when: 'before-commit' | 'after-commit';
  /** Only for this saga, by its id. */
  readonly saga?: string;
}

/** The point at which a service crashes. */
export type CrashPoint = CrashAtStep | CrashAtTransition;

/** A crash point that was set. */
export interface SetCrashPoint {
  readonly id: number;
  readonly service: string;
  readonly point: CrashPoint;
}

const OPERATIONS: readonly string[] = ['action', 'compensate', 'try', 'confirm', 'cancel'];
const MOMENTS: readonly string[] = ['before-action', 'before-commit', 'after-commit'];

/**
 * Crash points, as triggers of the test's database on the first row that a participant writes (the barrier's) and on
 * the rows that the transition of a saga writes. They fire immediately, or by a deferred constraint at COMMIT, when
 * everything is written. A setting that the gate gives to each session identifies the instance of a service to which it
 * belongs.
 */
export class CrashPoints {
  readonly #set = new Map<number, SetCrashPoint>();

  constructor(private readonly database: PgDatabase) {}

  async install(): Promise<void> {
    await this.database.pool.query(renderSql(CRASH_SQL, this.database.schema));
  }

  /** Crash points that were not reached. */
  get missed(): readonly SetCrashPoint[] {
    return [...this.#set.values()];
  }

  has(id: number): boolean {
    return this.#set.has(id);
  }

  /** @throws TestingError CRASH_POINT_INVALID */
  async set(service: string, point: CrashPoint): Promise<SetCrashPoint> {
    assertPoint(point);
    const isStep = 'at' in point;
    const { rows } = await this.database.pool.query<{ id: string }>(
      `insert into waybill_testing.crash_point (service, kind, name, op, moment, saga_id)
       values ($1, $2, $3, $4, $5, $6) returning id`,
      [
        service,
        isStep ? 'step' : 'transition',
        isStep ? point.at : point.transition,
        point.op ?? (isStep ? 'action' : null),
        point.when,
        point.saga ?? null,
      ],
    );
    const set = { id: Number(rows[0]?.id), service, point };
    this.#set.set(set.id, set);
    return set;
  }

  /** Removes a point that was reached. */
  async done(id: number): Promise<void> {
    await this.database.pool.query('delete from waybill_testing.crash_point where id = $1', [id]);
    this.#set.delete(id);
  }

  /** Registers a new instance of a service. */
  async incarnation(service: string): Promise<number> {
    const { rows } = await this.database.pool.query<{ id: string }>(
      'insert into waybill_testing.incarnation (service) values ($1) returning id',
      [service],
    );
    return Number(rows[0]?.id);
  }

  /**
   * Cleans up after a crashed instance: ends its sessions at the server, and the leases that it held, which nothing
   * else would end. Resolves when none of its sessions exists any more.
   */
  async endSessions(incarnation: number, pids: readonly number[]): Promise<void> {
    const { pool } = this.database;
    const schema = pg.escapeIdentifier(this.database.schema);
    const busSchema = pg.escapeIdentifier(busSchemaOf(this.database.schema));
    for (let left = pids.length; left > 0;) {
      const { rows } = await pool.query<{ left: string }>(
        `select count(pg_terminate_backend(a.pid)) as left from pg_stat_activity a
          where a.datname = current_database() and a.pid = any ($1) and a.pid <> pg_backend_pid()`,
        [pids],
      );
      left = Number(rows[0]?.left);
    }
    // A call in flight is repeated at the end of its lease.
    await pool.query(
      `with dead as (
         update ${busSchema}.group_member m set lease_until = '-infinity'
           from waybill_testing.member d where d.incarnation = $1 and d.member_id = m.member_id
         returning m.topics
       )
       update ${schema}.saga_call c set due_at = clock_timestamp(), lease_until = clock_timestamp()
        where c.token is not null and c.reply_topic in (select unnest(d.topics) from dead d)`,
      [incarnation],
    );
  }
}

/** A point's description, for errors. */
export function describePoint({ service, point }: SetCrashPoint): string {
  const op = point.op === undefined ? '' : ` (${point.op})`;
  const what = 'at' in point ? `step ${point.at}` : `the transition of ${point.transition}`;
  return `${service} ${point.when} of ${what}${op}`;
}

function assertPoint(point: CrashPoint): void {
  const isStep = 'at' in point;
  const { when, op } = point;
  const isTransition = 'transition' in point;
  const problems = [
    ...(isStep === isTransition ? ['it needs either "at" or "transition"'] : []),
    ...(MOMENTS.includes(when) ? [] : [`"when" must be one of ${MOMENTS.join(', ')}`]),
    ...(isTransition && when === ('before-action' as string)
      ? ['a transition has no "before-action": it writes nothing before "before-commit"']
      : []),
    ...(op === undefined || OPERATIONS.includes(op) ? [] : [`"op" must be one of ${OPERATIONS.join(', ')}`]),
  ];
  if (problems.length > 0)
    throw new TestingError('CRASH_POINT_INVALID', `The crash point is invalid: ${problems.join('; ')}.`);
}

const CRASH_SQL = `
    create table waybill_testing.incarnation (id bigint generated always as identity primary key, service text not null);
    create table waybill_testing.member (member_id uuid primary key, incarnation bigint not null);
    create table waybill_testing.crash_point (
      id bigint generated always as identity primary key, service text not null, kind text not null, name text not null,
      op text, moment text not null, saga_id uuid);

    create function waybill_testing.incarnation_here() returns bigint language sql stable
    return nullif(current_setting('waybill_testing.incarnation', true), '')::bigint;

    -- Leases of members end with their service, not by time: the clock is put forward while they are active.
    create function waybill_testing.keep_member() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
    begin
      if waybill_testing.incarnation_here() is not null then
        insert into waybill_testing.member (member_id, incarnation)
        values (new.member_id, waybill_testing.incarnation_here()) on conflict do nothing;
        new.lease_until := 'infinity';
      end if;
      return new;
    end $$;
    create trigger waybill_testing before insert or update of lease_until on :bus.group_member
      for each row execute function waybill_testing.keep_member();

    -- Tells the session's gate that a point is reached. A session before its commit waits there for its end.
    create function waybill_testing.reach(point bigint, moment text) returns void
    language plpgsql set client_min_messages = notice set search_path = pg_catalog, pg_temp as $$
    begin
      raise notice '${CRASH_NOTICE}%:%', point, case moment when 'after-commit' then 'after' else 'before' end;
      if moment <> 'after-commit' then
        perform pg_sleep(60);
        raise exception 'the service was to crash here, but its test has ended';
      end if;
    end $$;

    create function waybill_testing.is_named(name text, of_step text) returns boolean language sql immutable
    return of_step = name or starts_with(of_step, name || '[');

    -- A row that keeps an operation from happening (reason: its compensation) does not belong to that operation.
    create function waybill_testing.at_step() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
    declare
      point record;
    begin
      select p.id, p.moment into point
        from waybill_testing.crash_point p join waybill_testing.incarnation i using (service)
       where i.id = waybill_testing.incarnation_here() and p.kind = 'step' and p.op = new.op
         and new.reason not in (select o from unnest(array['compensate', 'cancel', 'confirm']) o where o <> new.op)
         and waybill_testing.is_named(p.name, new.branch) and coalesce(p.saga_id, new.gid) = new.gid
         and (p.moment = 'before-action') = (tg_argv[0] = 'now')
       order by p.id limit 1;
      if found then
        perform waybill_testing.reach(point.id, point.moment);
      end if;
      return null;
    end $$;
    create trigger waybill_testing_now after insert on :schema.barrier
      for each row execute function waybill_testing.at_step('now');
    create constraint trigger waybill_testing_commit after insert on :schema.barrier
      deferrable initially deferred for each row execute function waybill_testing.at_step('commit');

    create function waybill_testing.at_transition() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
    declare
      point record;
    begin
      select p.id, p.moment into point
        from waybill_testing.crash_point p join waybill_testing.incarnation i using (service)
       where i.id = waybill_testing.incarnation_here() and p.kind = 'transition'
         and coalesce(p.saga_id, new.saga_id) = new.saga_id
         and exists (
           select from json_array_elements(new.content->'events') e
            where (waybill_testing.is_named(p.name, e->>'step') or p.name in (e->>'type', e->>'name'))
              and p.op is not distinct from coalesce(
                    case when p.op is not null then coalesce(e->>'op', case e->>'undo' when 'true' then 'compensate'
                                                                       when 'false' then 'action' end) end, p.op))
       order by p.id limit 1;
      if found then
        perform waybill_testing.reach(point.id, point.moment);
      end if;
      return null;
    end $$;
    create constraint trigger waybill_testing_commit after insert on :schema.saga_transition
      deferrable initially deferred for each row execute function waybill_testing.at_transition();`;
