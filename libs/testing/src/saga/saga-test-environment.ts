import { isId, PgDatabase } from '@waybill/kernel';
import { derivedName } from '@waybill/kernel/internal';
import { SagaOperations, type SagaDetail, type SagaState } from '@waybill/saga';
import { isEnd } from '@waybill/saga/internal';
import { migrate } from '@waybill/schema';
import pg from 'pg';
import { ensurePostgres } from '../postgres/ensure-postgres.js';
import { createDatabase, type TestDatabase } from '../postgres/test-database.js';
import { TestingError, type TestingErrorCode } from '../testing-error.js';
import { withPatience } from '../patience.js';
import { waitUntil } from '../wait-until.js';
import { type CrashPoint, CrashPoints, describePoint, type SetCrashPoint } from './crash-points.js';
import { sagaStory } from './saga-story.js';
import { installClock, SkippableClock } from './skippable-clock.js';
import { type RunningService, type StartService, TestedService } from './tested-service.js';
import { hurryParked, KIT_NAME, lookAt, type UnderWay } from './under-way.js';

/** The services of an environment, by name. */
export type Services = Readonly<Record<string, StartService<RunningService>>>;

/** Options of a {@link SagaTestEnvironment}. */
export interface SagaTestOptions<Of extends Services> {
  /** Starts each service; they are started one after the other, in this order. */
  readonly services: Of;
  /** Creates the tables of the services, in the new database, before they are started. */
  readonly setUp?: (connectionString: string) => Promise<unknown>;
  /** The server on which to create the database. Default: that of `DATABASE_URL`, else a separate embedded one. */
  readonly server?: { readonly connectionString: string };
  /** Waybill's schema. Default `waybill`. */
  readonly schema?: string;
  /** Time limit of every wait, in milliseconds. Default 30,000; WAYBILL_PATIENCE multiplies it, for slow machines. */
  readonly timeoutMs?: number;
}

/** A crash point that was set. */
export interface ExpectedCrash {
  /**
   * Resolves when the service has crashed there, and is back. @throws TestingError CRASH_POINT_MISSED, SERVICE_FAILED
   */
  happened(): Promise<void>;
}

type ServiceOf<Of extends Services, Name extends keyof Of> = Awaited<ReturnType<Of[Name]>>;

/** The parts of an environment. */
interface Parts {
  readonly services: ReadonlyMap<string, TestedService<RunningService>>;
  readonly database: PgDatabase;
  readonly created: TestDatabase;
  readonly points: CrashPoints;
  readonly clock: SkippableClock;
  readonly timeoutMs: number;
  readonly stopServer: () => Promise<void>;
}

/**
 * Runs sagas for real in a test: the actual services with their sagas and participants, on a database created for the
 * test, whose time can be skipped, and whose services crash at points that the test sets.
 *
 * ```ts
 * const env = await SagaTestEnvironment.start({
 *   setUp: createTables,
 *   services: { orders: (url) => startOrders(url), stock: (url) => startStock(url) },
 * });
 * await env.service('orders').get(Orders).place(order);
 * const crash = await env.crash('stock', { at: 'reserve', when: 'after-commit' });
 * await env.until('orders.place', 'A-1', 'COMPLETED');
 * await env.skip(7 * DAY);
 * await env.close();
 * ```
 */
export class SagaTestEnvironment<Of extends Services> {
  readonly #operations: SagaOperations;

  private constructor(private readonly parts: Parts) {
    this.#operations = new SagaOperations({ database: parts.database });
  }

  /**
   * Creates the database, and starts the services.
   * @throws TestingError SERVICE_FAILED, SUPERUSER_REQUIRED, and those of `ensurePostgres`
   */
  static async start<const Of extends Services>(
    options: SagaTestOptions<Of>,
  ): Promise<SagaTestEnvironment<Of>> {
    const { services, setUp, schema = 'waybill', timeoutMs = 30_000 } = options;
    const own = options.server === undefined ? await ensurePostgres() : undefined;
    const stopServer = async (): Promise<void> => own?.stop();
    const server = options.server ?? own;
    if (server === undefined) throw new TypeError('there is no server');
    let created: TestDatabase | undefined;
    try {
      created = await createDatabase(server, 'saga_test');
      const { connectionString } = created;
      await installClock(connectionString);
      await migrate({ connectionString, schema });
      const database = new PgDatabase({ connectionString, schema, applicationName: KIT_NAME });
      const points = new CrashPoints(database);
      const clock = new SkippableClock(database);
      const tested = new Map(
        Object.entries(services).map(([name, start]) => [
          name,
          new TestedService(name, start, connectionString, points),
        ]),
      );
      const parts = { services: tested, database, created, points, clock, timeoutMs, stopServer };
      const environment = new SagaTestEnvironment<Of>(parts);
      await environment.#begin(setUp);
      return environment;
    } catch (error) {
      if (created !== undefined) await created.drop();
      await stopServer();
      throw error;
    }
  }

  async #begin(setUp: SagaTestOptions<Of>['setUp']): Promise<void> {
    const { clock, points, services, created } = this.parts;
    try {
      await clock.install();
      await points.install();
      await setUp?.(created.connectionString);
      for (const service of services.values()) await service.start();
    } catch (error) {
      await this.#stop();
      throw error;
    }
  }

  /** The database, for the test's own reads and writes. */
  get connectionString(): string {
    return this.parts.created.connectionString;
  }

  /** The object to which a service's function has resolved; after a crash, the new instance. */
  service<Name extends keyof Of & string>(name: Name): ServiceOf<Of, Name> {
    return this.#service(name).service as ServiceOf<Of, Name>;
  }

  /** The database's time, including what was skipped. */
  async now(): Promise<Date> {
    return new Date(await this.parts.clock.nowMs());
  }

  /**
   * Waits until a saga has been started.
   * @throws TestingError SAGA_STATE_MISSED
   */
  async started(type: string, key: string): Promise<SagaDetail> {
    let found: SagaDetail | undefined;
    await this.#wait('SAGA_STATE_MISSED', `saga ${type} ${key} to be started`, async () => {
      found = await this.#find([type, key]);
      return found !== undefined;
    });
    return found as SagaDetail;
  }

  /**
   * Waits until a saga is in a state, without skipping time.
   * @throws TestingError SAGA_STATE_MISSED, with the saga's story, when the state is not reached, or the saga has ended
   *   in another
   */
  async until(id: string, state: SagaState): Promise<SagaDetail>;
  async until(type: string, key: string, state: SagaState): Promise<SagaDetail>;
  async until(...given: [string, SagaState] | [string, string, SagaState]): Promise<SagaDetail> {
    const name = given.slice(0, -1) as [string] | [string, string];
    const state = given.at(-1) as SagaState;
    const what = `saga ${name.join(' ')} to be ${state}`;
    let saga: SagaDetail | undefined;
    const story = (): string => (saga === undefined ? 'There is no such saga.' : sagaStory(saga));
    await this.#wait(
      'SAGA_STATE_MISSED',
      what,
      async () => {
        saga = await this.#find(name);
        if (saga?.state === state) return true;
        if (saga !== undefined && isEnd(saga.state))
          throw new TestingError('SAGA_STATE_MISSED', `Waited for ${what}, and it has ended.\n${story()}`);
        return false;
      },
      story,
    );
    return saga as SagaDetail;
  }

  /** The timeline of a saga so far, as text. */
  async story(id: string): Promise<string> {
    return sagaStory(await this.#operations.show(id));
  }

  /**
   * Lets time pass for the sagas; everything that falls due in it happens at its time, in order: it waits until nothing
   * is in progress, advances to what falls due next, and so on to the end.
   * @param ms how much, in milliseconds
   * @throws TestingError SERVICES_BUSY when the services do not become idle
   */
  async skip(ms: number): Promise<void> {
    if (!Number.isSafeInteger(ms) || ms < 0)
      throw new RangeError(`skip takes whole milliseconds from 0 on, not ${ms}`);
    const { clock } = this.parts;
    const { next: first } = await this.quiet();
    const end = (await clock.nowMs()) + ms;
    for (let next = first; next !== undefined && next.atMs <= end;) {
      await clock.moveTo(next.atMs);
      ({ next } = await this.quiet());
    }
    await clock.moveTo(end);
    await this.quiet();
  }

  /**
   * Waits until nothing is in progress: no message undelivered, nothing due, no transaction open, no service
   * restarting.
   * @returns what falls due next
   * @throws TestingError SERVICES_BUSY, SERVICE_FAILED
   */
  async quiet(): Promise<Pick<UnderWay, 'next'>> {
    const { database, services } = this.parts;
    const channel = derivedName('signal', database.schema);
    let seen: UnderWay | undefined;
    let hurried = 0;
    await this.#wait(
      'SERVICES_BUSY',
      'the services to become idle',
      async () => {
        if ([...services.values()].some(({ isUp }) => !isUp)) return false;
        seen = await lookAt(database);
        if (seen.hasDueParked && performance.now() - hurried > HURRY_MS) {
          hurried = performance.now();
          await hurryParked(database, channel);
        }
        return seen.reasons.length === 0;
      },
      () => `In progress: ${seen?.reasons.join('; ') ?? 'a service is being started'}.`,
    );
    return { next: seen?.next };
  }

  /**
   * Crashes a service the next time that it reaches this point: all its connections are cut there, and what it does
   * later has no effect. It is closed, and started again by its function.
   * @throws TestingError SERVICE_UNKNOWN, CRASH_POINT_INVALID
   */
  async crash(service: keyof Of & string, point: CrashPoint): Promise<ExpectedCrash> {
    const { points } = this.parts;
    const tested = this.#service(service);
    const set = await points.set(service, point);
    const happened = (): Promise<void> =>
      this.#wait('CRASH_POINT_MISSED', `the crash of ${describePoint(set)}`, () => {
        return !points.has(set.id) && tested.isUp;
      });
    return { happened };
  }

  /**
   * Closes the services, and removes the database, and the server if the environment started it.
   * @throws TestingError CRASH_POINT_MISSED when a crash point was not reached; SERVICE_FAILED
   */
  async close(): Promise<void> {
    const { points } = this.parts;
    const failures = await this.#stop();
    const { missed } = points;
    await this.parts.created.drop();
    await this.parts.stopServer();
    if (failures.length > 0) throw failures[0];
    if (missed.length > 0) throw missedPoints(missed);
  }

  /** @returns why services could not be closed */
  async #stop(): Promise<unknown[]> {
    const failures: unknown[] = [];
    for (const service of [...this.parts.services.values()].toReversed())
      await service.close().catch((error: unknown) => failures.push(error));
    await this.parts.database.close();
    return failures;
  }

  #service(name: string): TestedService<RunningService> {
    const { services } = this.parts;
    const service = services.get(name);
    if (service !== undefined) return service;
    throw new TestingError(
      'SERVICE_UNKNOWN',
      `There is no service ${name} in this environment. It has ${[...services.keys()].join(', ')}.`,
    );
  }

  /** The saga of this id, or of this type and key. */
  async #find([name, key]: readonly [string, string?]): Promise<SagaDetail | undefined> {
    const id = key === undefined ? name : await this.#idOf(name, key);
    if (id === undefined) return undefined;
    if (!isId(id)) throw new TestingError('SAGA_STATE_MISSED', `${id} is not the id of a saga.`);
    try {
      return await this.#operations.show(id);
    } catch (error) {
      if ((error as { code?: unknown }).code === 'NOT_FOUND') return undefined;
      throw error;
    }
  }

  async #idOf(type: string, key: string): Promise<string | undefined> {
    const { pool, schema } = this.parts.database;
    const from = (table: string): string =>
      `select id from ${pg.escapeIdentifier(schema)}.${table} where saga_type = $1 and saga_key = $2`;
    const { rows } = await pool.query<{ id: string }>(`${from('saga')} union all ${from('saga_ended')}`, [
      type,
      key,
    ]);
    return rows[0]?.id;
  }

  async #wait(
    code: TestingErrorCode,
    what: string,
    claim: () => Promise<boolean> | boolean,
    story?: () => string,
  ): Promise<void> {
    const { services, timeoutMs } = this.parts;
    let failure: TestingError | undefined;
    const look = async (): Promise<boolean> => {
      try {
        for (const service of services.values()) service.assertSound();
        return await claim();
      } catch (error) {
        if (!(error instanceof TestingError)) throw error;
        failure = error;
        return true;
      }
    };
    try {
      await waitUntil(look, { describe: what, timeoutMs, intervalMs: 5 });
    } catch (cause) {
      const next = code === 'SERVICES_BUSY' ? '' : await this.#whatIsNext();
      const told = story === undefined ? '' : `\n${story()}`;
      throw new TestingError(
        code,
        `Waited ${withPatience(timeoutMs)} ms without result for ${what}.${next}${told}`,
        {
          cause,
        },
      );
    }
    if (failure !== undefined) throw failure;
  }

  /** When nothing is in progress, only time brings anything. A loop that polls at this moment is not progress. */
  async #whatIsNext(): Promise<string> {
    let seen: UnderWay | undefined;
    const isIdle = async (): Promise<boolean> => {
      seen = await lookAt(this.parts.database);
      return seen.reasons.length === 0;
    };
    await waitUntil(isIdle, { describe: 'an idle moment', timeoutMs: IDLE_MS, intervalMs: 5 }).catch(
      () => {},
    );
    const { reasons, next } = seen ?? { reasons: ['unknown'], next: undefined };
    if (reasons.length > 0 || next === undefined) return '';
    const at = new Date(next.atMs).toISOString();
    return ` Nothing is in progress; next, ${next.what} falls due at ${at}: let time pass with env.skip().`;
  }
}

/** How long an idle moment is waited for before a report about a wait that failed, in milliseconds. */
const IDLE_MS = 1_000;
/** Interval of the check for messages whose attempt is due, in milliseconds. */
const HURRY_MS = 1_000;

function missedPoints(missed: readonly SetCrashPoint[]): TestingError {
  const points = missed.map(describePoint).join('; ');
  return new TestingError(
    'CRASH_POINT_MISSED',
    `These crash points were not reached: ${points}. Check the names of service and step, or wait for happened() before close().`,
  );
}
