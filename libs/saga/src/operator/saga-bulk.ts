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

/** The orders that can be given in bulk. */
export type SagaBulkOrder = 'retry' | 'skip' | 'compensate' | 'cancel';

/** The sagas that a bulk order would affect. */
export interface SagaBulkMatch {
  readonly sagas: number;
  /** Sagas that match except that their content cannot be read: whether they are at the step is unknown. */
  readonly unreadable: number;
}

/** The progress of a bulk order. */
export interface SagaBulkProgress {
  readonly id: number;
  readonly order: SagaBulkOrder;
  /** `running` while there are sagas left to order. */
  readonly state: 'running' | 'done' | 'cancelled';
  /** Sagas that matched at its start. */
  readonly total: number;
  /** Those that were ordered so far. */
  readonly ordered: number;
  /** Orders that were carried out. */
  readonly applied: number;
  /** Orders that were refused: the saga had changed, or the order does not apply. The reason is with the saga's orders. */
  readonly refused: number;
  /** Orders that no process of their service has handled yet. */
  readonly waiting: number;
  /** Sagas that had changed or ended before they were ordered. */
  readonly skipped: number;
}

/** A bulk order in a list. */
export interface SagaBulkSummary extends SagaBulkProgress {
  /** The login that started it. */
  readonly actor: string;
  /** The stated name of the operator. */
  readonly by: string;
  readonly reason: string | null;
  readonly perSecond: number;
  readonly startedAt: Date;
}

/** Options of running a bulk order. */
export interface SagaBulkOptions {
  /** Stops the run between two steps; it can be resumed. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: SagaBulkProgress) => void;
  /** The run ends when no order was handled for this long, in milliseconds. Default 10,000. */
  readonly waitMs?: number;
}

const NO_ID = '00000000-0000-0000-0000-000000000000';
const ORDERS: readonly SagaBulkOrder[] = ['retry', 'skip', 'compensate', 'cancel'];
const STUCK: ReadonlySet<StepStatus> = new Set<StepStatus>(['stuck', 'undo-stuck']);
const RETRYABLE: ReadonlySet<StepStatus> = new Set<StepStatus>([...STUCK, 'waiting', 'undo-waiting']);
/** Largest number of sagas per batch, and batches per second if the rate allows. */
const STEP = 100;
const STEPS_A_SECOND = 5;
/** Maximum number of orders that wait for their services. */
const MOST_WAITING = 1_000;
/** Smallest number of sagas read at a time. */
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

/** Sagas to order in one batch. */
interface Portion {
  readonly ids: readonly string[];
  readonly revisions: readonly number[];
  readonly steps: readonly string[];
  readonly cursor: string;
  readonly isLast: boolean;
}

/**
 * Gives an order to many sagas at a limited rate, each once and only if unchanged since it was read. Progress is stored
 * in the same transaction as the orders, so a bulk order whose process crashed can be resumed.
 */
export class SagaBulk {
  constructor(
    private readonly database: PgDatabase,
    private readonly search: SagaSearch,
    private readonly clock: Clock,
  ) {}

  /** How many sagas a bulk order would affect now. @throws ConfigurationError for an invalid query, or one that matches all sagas */
  async count(order: SagaBulkOrder, query: SagaQuery): Promise<SagaBulkMatch> {
    const { sagas, unreadable } = await this.#match(order, query);
    return { sagas, unreadable };
  }

  /**
   * Starts a bulk order to the active sagas that match a query now; continue it with {@link resume}. `retry` and `skip`
   * apply to the step that is stuck, or to `query.step`; in a saga with several such steps, to the first.
   * @param operator with `perSecond`: orders per second, default 500
   * @throws ConfigurationError for an invalid query, or one that matches all sagas
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
   * Runs a bulk order to its end from where it is, and waits for the results. Several processes may do so: they
   * take turns. At most 1,000 orders wait at a time.
   * @returns its progress: `running` when the signal stopped it, or when its services handle nothing
   * @throws NotFoundError, ConfigurationError
   */
  async resume(id: number, { signal, onProgress, ...rest }: SagaBulkOptions = {}): Promise<SagaBulkProgress> {
    const { waitMs } = resolveOptions('bulk order', RUN, rest);
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

  /** Cancels a running bulk order; orders already given stay. @throws NotFoundError when none with that id is running */
  async cancel(id: number, operator: Operator): Promise<void> {
    assertOperator(operator, `bulk order ${id}`);
    const { by, reason = null } = operator;
    const [row] = await this.database.session.run(cancelSagaBulk, id, by, reason);
    if (row?.cancelled !== true) throw new NotFoundError(`running bulk order ${id}`);
  }

  /** One bulk order. @throws NotFoundError */
  async show(id: number): Promise<SagaBulkSummary> {
    return summaryOf(await this.#job(id));
  }

  /** The newest bulk orders. */
  async list(most = 20): Promise<SagaBulkSummary[]> {
    const { limit } = resolveOptions('list of bulk orders', LIST, { limit: most });
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

  /** The next sagas that match. This includes a saga that matches only now, if it is older than the newest that matched at the start. */
  async #portion({ order, filter, cursor, upTo, perSecond }: Job): Promise<Portion> {
    const most = Math.max(1, Math.min(STEP, Math.floor(perSecond / STEPS_A_SECOND)));
    const ids: string[] = [];
    const revisions: number[] = [];
    const steps: string[] = [];
    const narrowed = queryOf(order, filter);
    // Not many more than are ordered: their contents may be large.
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
    if (job === undefined) throw new NotFoundError(`bulk order ${show(id)}`);
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
 * The query of the sagas to which the order can apply; undefined when there are none.
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

/** A step is stuck in STUCK sagas only; a saga that compensates already cannot be compensated again. */
function isPossible(order: SagaBulkOrder, step: string | undefined, state: SagaState): boolean {
  if (order === 'cancel' || order === 'compensate') return state !== 'COMPENSATING';
  return step !== undefined || state === 'STUCK';
}

/** The step of a saga that the order applies to, without a name for the whole saga; undefined when it does not apply. */
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
  return new ConfigurationError('The sagas are unchanged', [problem]);
}
