import {
  type Clock,
  ConfigurationError,
  NotFoundError,
  type Operator,
  type PgDatabase,
  resolveOptions,
  wholeNumber,
} from '@waybill/kernel';
import { assertOperator, show } from '@waybill/kernel/internal';
import type { SagaState, StepStatus } from '../machine/saga-instance.js';
import { beginSagaBulk, cancelSagaBulk, listSagaBulks, stepSagaBulk } from '../statements.generated.js';
import { checkedQuery, type FoundSaga, openStepsOf, type SagaQuery, type SagaSearch } from './saga-search.js';

/** What many sagas can be ordered at once. */
export type SagaBulkOrder = 'retry' | 'skip' | 'compensate' | 'cancel';

/** The sagas that an order would go to. */
export interface SagaBulkMatch {
  readonly sagas: number;
  /** Sagas that match by all but what cannot be read of them: whether they stand at the step is not known. */
  readonly unreadable: number;
}

/** How far an order to many sagas is. */
export interface SagaBulkProgress {
  readonly id: number;
  readonly order: SagaBulkOrder;
  /** `running` as long as there are sagas to be ordered. */
  readonly state: 'running' | 'done' | 'cancelled';
  /** Sagas that matched when it began. */
  readonly total: number;
  /** Of these, those that were ordered. */
  readonly ordered: number;
  /** Orders that were carried out. */
  readonly applied: number;
  /** Orders that were not: the saga had moved on, or cannot do it. Why stands with the saga's orders. */
  readonly refused: number;
  /** Orders that no process of their service has taken up yet. */
  readonly waiting: number;
  /** Sagas that had moved on, or ended, before they were ordered. */
  readonly skipped: number;
}

/** An order to many sagas as it is listed. */
export interface SagaBulkSummary extends SagaBulkProgress {
  /** The login that began it. */
  readonly actor: string;
  /** The name that it gave. */
  readonly by: string;
  readonly reason: string | null;
  readonly perSecond: number;
  readonly startedAt: Date;
}

/** How an order to many sagas is run. */
export interface SagaBulkOptions {
  /** Stops the run between two steps; it can be resumed. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: SagaBulkProgress) => void;
  /** The run ends when no order was taken up for so long, in milliseconds. Default 10,000. */
  readonly waitMs?: number;
}

const NO_ID = '00000000-0000-0000-0000-000000000000';
const ORDERS: readonly SagaBulkOrder[] = ['retry', 'skip', 'compensate', 'cancel'];
const STUCK: ReadonlySet<StepStatus> = new Set<StepStatus>(['stuck', 'undo-stuck']);
const RETRYABLE: ReadonlySet<StepStatus> = new Set<StepStatus>([...STUCK, 'waiting', 'undo-waiting']);
/** Sagas that a step orders at most, and steps in a second where the rate allows. */
const STEP = 100;
const STEPS_A_SECOND = 5;
/** Maximum number of orders that wait for their services. */
const MOST_WAITING = 1_000;
/** Sagas that are read at a time, at least. */
const LEAST_PAGE = 20;
const LOOK_MS = 100;
const DEFAULT_PER_SECOND = 500;
const MOST_PER_SECOND = 100_000;
const LIST = { limit: wholeNumber({ default: 20, min: 1, max: 100_000 }) };
const RUN = { waitMs: wholeNumber({ default: 10_000, min: 0, max: 3_600_000 }) };

interface Job extends SagaBulkSummary {
  readonly filter: SagaQuery;
  readonly upTo: string;
  readonly cursor: string;
}

/** Sagas to be ordered by one step. */
interface Portion {
  readonly ids: readonly string[];
  readonly revisions: readonly number[];
  readonly steps: readonly string[];
  readonly cursor: string;
  readonly isLast: boolean;
}

/**
 * Gives many sagas an order, at a rate, each once and only while it is as it was seen. How far it is stands in the database
 * and moves with the orders in one transaction: one whose process has died is resumed where it was.
 */
export class SagaBulk {
  constructor(
    private readonly database: PgDatabase,
    private readonly search: SagaSearch,
    private readonly clock: Clock,
  ) {}

  /** How many sagas an order would go to now. @throws ConfigurationError for a query that is not usable, or means all sagas */
  async count(order: SagaBulkOrder, query: SagaQuery): Promise<SagaBulkMatch> {
    const { sagas, unreadable } = await this.#match(order, query);
    return { sagas, unreadable };
  }

  /**
   * Begins an order to the sagas under way that match a query now; see {@link resume} for the rest of it. `retry` and `skip`
   * are about the step that is stuck, or about `query.step`: of a saga with several such steps about the first.
   * @param operator with `perSecond`: how many are ordered in a second, default 500
   * @throws ConfigurationError for a query that is not usable, or means all sagas
   */
  async start(
    order: SagaBulkOrder,
    query: SagaQuery,
    operator: Operator & { readonly perSecond?: number },
  ): Promise<SagaBulkProgress & Pick<SagaBulkMatch, 'unreadable'>> {
    const { by, reason, perSecond = DEFAULT_PER_SECOND } = operator;
    assertOperator(operator, 'sagas');
    if (!Number.isSafeInteger(perSecond) || perSecond < 1 || perSecond > MOST_PER_SECOND)
      throw refusal(`perSecond must be a whole number from 1 to ${MOST_PER_SECOND}, got ${show(perSecond)}`);
    const { sagas: total, unreadable, last } = await this.#match(order, query);
    const why = `${order === 'cancel' ? 'cancelled ' : ''}by ${by}: ${reason ?? 'no reason given'}`;
    const event = { type: order, step: query.step ?? null, reason: why };
    const given = [JSON.stringify(event), JSON.stringify(query), by, reason ?? null] as const;
    const [row] = await this.database.session.run(beginSagaBulk, ...given, perSecond, last, total);
    return { ...progressOf(await this.#job((row as { id: number }).id)), unreadable };
  }

  /**
   * Runs an order to many sagas to its end, from where it is, and waits for what comes of it. Several processes may: they
   * take turns. Not more than 1,000 orders wait at a time.
   * @returns how it stands: `running` when the signal stopped it, or when its services take nothing up
   * @throws NotFoundError, ConfigurationError
   */
  async resume(id: number, { signal, onProgress, ...rest }: SagaBulkOptions = {}): Promise<SagaBulkProgress> {
    const { waitMs } = resolveOptions('order to many sagas', RUN, rest);
    let movedAt = this.clock.monotonic();
    for (let before = await this.#job(id); ;) {
      let pauseMs = LOOK_MS;
      if (before.state === 'running' && before.waiting < MOST_WAITING) {
        const portion = await this.#portion(before);
        pauseMs = Math.ceil((portion.ids.length * 1_000) / before.perSecond);
        await this.#order(before, portion);
      }
      const job = await this.#job(id);
      const hasMoved = job.cursor !== before.cursor || job.waiting < before.waiting;
      if (hasMoved) movedAt = this.clock.monotonic();
      if (hasMoved || job.state !== before.state) onProgress?.(progressOf(job));
      const isIdle = !hasMoved && this.clock.monotonic() - movedAt >= waitMs;
      if ((job.state !== 'running' && job.waiting === 0) || isIdle) return progressOf(job);
      await this.clock.sleep(pauseMs, signal);
      if (signal?.aborted === true) return progressOf(job);
      before = job;
    }
  }

  /** Ends an order to many sagas that runs: what was ordered stays so. @throws NotFoundError when none of that id runs */
  async cancel(id: number, operator: Operator): Promise<void> {
    assertOperator(operator, `order ${id} to many sagas`);
    const { by, reason = null } = operator;
    const [row] = await this.database.session.run(cancelSagaBulk, id, by, reason);
    if (row?.cancelled !== true) throw new NotFoundError(`running order ${id} to many sagas`);
  }

  /** One order to many sagas. @throws NotFoundError */
  async show(id: number): Promise<SagaBulkSummary> {
    return summaryOf(await this.#job(id));
  }

  /** The newest orders to many sagas. */
  async list(most = 20): Promise<SagaBulkSummary[]> {
    const { limit } = resolveOptions('list of orders to many sagas', LIST, { limit: most });
    return (await this.#jobs(null, limit)).map(summaryOf);
  }

  async #order({ id, cursor }: Job, portion: Portion): Promise<void> {
    const { ids, revisions, steps, isLast } = portion;
    await this.database.session.run(stepSagaBulk, id, cursor, ids, revisions, steps, portion.cursor, isLast);
  }

  async #match(order: SagaBulkOrder, query: SagaQuery) {
    const narrowed = queryOf(order, query);
    let [sagas, unreadable, last] = [0, 0, NO_ID];
    for await (const page of narrowed === undefined ? [] : this.search.pages(narrowed)) {
      for (const found of page) {
        const step = stepFor(order, query.step, found);
        if (step === 'unreadable') unreadable += 1;
        else if (step !== undefined) [sagas, last] = [sagas + 1, found.summary.id];
      }
    }
    return { sagas, unreadable, last };
  }

  /** The next sagas that match. One that matches only now is among them, where it is older than the newest that did. */
  async #portion({ order, filter, cursor, upTo, perSecond }: Job): Promise<Portion> {
    const most = Math.max(1, Math.min(STEP, Math.floor(perSecond / STEPS_A_SECOND)));
    const ids: string[] = [];
    const revisions: number[] = [];
    const steps: string[] = [];
    const narrowed = queryOf(order, filter);
    // Not many more than are ordered: what they hold may be large.
    const size = Math.max(most, LEAST_PAGE);
    for await (const page of narrowed === undefined ? [] : this.search.pages(narrowed, cursor, size)) {
      for (const found of page) {
        const { id, revision } = found.summary;
        if (id > upTo) return { ids, revisions, steps, cursor: upTo, isLast: true };
        const step = stepFor(order, filter.step, found);
        if (step === undefined || step === 'unreadable') continue;
        ids.push(id);
        revisions.push(revision);
        steps.push(step.name);
        if (ids.length === most) return { ids, revisions, steps, cursor: id, isLast: id === upTo };
      }
    }
    return { ids, revisions, steps, cursor: upTo, isLast: true };
  }

  async #job(id: number): Promise<Job> {
    const [job] = Number.isSafeInteger(id) ? await this.#jobs(id, 1) : [];
    if (job === undefined) throw new NotFoundError(`order ${show(id)} to many sagas`);
    return job;
  }

  async #jobs(id: number | null, limit: number): Promise<Job[]> {
    const rows = await this.database.session.run(listSagaBulks, id, limit);
    return rows.map(({ event, filter, ...row }) => ({
      ...row,
      order: (JSON.parse(event) as { type: SagaBulkOrder }).type,
      filter: JSON.parse(filter) as SagaQuery,
      state: row.state as Job['state'],
      applied: row.ordered - row.refused - row.waiting,
    }));
  }
}

function summaryOf(job: Job): SagaBulkSummary {
  const { actor, by, reason, perSecond, startedAt } = job;
  return { ...progressOf(job), actor, by, reason, perSecond, startedAt };
}

function progressOf(job: Job): SagaBulkProgress {
  const { id, order, state, total, ordered, applied, refused, waiting, skipped } = job;
  return { id, order, state, total, ordered, applied, refused, waiting, skipped };
}

/**
 * The query of the sagas that an order can mean something to; undefined where there are none.
 * @throws ConfigurationError
 */
function queryOf(order: SagaBulkOrder, query: SagaQuery): SagaQuery | undefined {
  if (!ORDERS.includes(order))
    throw refusal(`the order must be one of ${ORDERS.join(', ')}, got ${show(order)}`);
  const { states } = checkedQuery(query);
  const { type, keyPrefix, olderThanMs, where = {} } = query;
  const named = [query.states, type, keyPrefix, olderThanMs, Object.keys(where)[0]];
  if (named.every((each) => each === undefined))
    throw refusal('say which sagas: by type, states, where, keyPrefix or olderThanMs');
  const ended = states.filter((state) => !['RUNNING', 'COMPENSATING', 'STUCK'].includes(state));
  if (ended.length > 0) throw refusal(`sagas that are ${ended.join(' or ')} have ended`);
  const possible = states.filter((state) => isPossible(order, query.step, state));
  return possible.length === 0 ? undefined : { ...query, states: possible };
}

/** A step is stuck in STUCK sagas only; what is being compensated cannot be turned round again. */
function isPossible(order: SagaBulkOrder, step: string | undefined, state: SagaState): boolean {
  if (order === 'cancel' || order === 'compensate') return state !== 'COMPENSATING';
  return step !== undefined || state === 'STUCK';
}

/** The step that an order to a saga is about, without a name for the whole saga; undefined where it means nothing to it. */
function stepFor(
  order: SagaBulkOrder,
  wanted: string | undefined,
  { instance, isReadable }: FoundSaga,
): { readonly name: string } | 'unreadable' | undefined {
  const isWhole = order === 'cancel' || order === 'compensate';
  if (instance === undefined) {
    if (isReadable) return undefined;
    return isWhole && wanted === undefined ? { name: '' } : 'unreadable';
  }
  const open = openStepsOf(instance, wanted);
  if (isWhole) {
    const isMeant = instance.direction === 'forward' && (wanted === undefined || open.length > 0);
    return isMeant ? { name: '' } : undefined;
  }
  const has = (step: string, statuses: ReadonlySet<StepStatus>): boolean =>
    statuses.has(instance.steps[step]?.status as StepStatus);
  const stuck = open.find((step) => has(step, STUCK));
  const other = order === 'retry' ? open.find((step) => has(step, RETRYABLE)) : open[0];
  const name = stuck ?? (wanted === undefined ? undefined : other);
  return name === undefined ? undefined : { name };
}

function refusal(problem: string): ConfigurationError {
  return new ConfigurationError('The sagas were left as they are', [problem]);
}
