import {
  type Clock,
  invariant,
  isId,
  NotFoundError,
  type Operator,
  type PgDatabase,
  resolveOptions,
  systemClock,
  wholeNumber,
} from '@waybill/kernel';
import { assertOperator, dictionary, sqlStateOf } from '@waybill/kernel/internal';
import { SagaOrderRefusedError } from '../errors/saga-errors.js';
import { type Sealer } from '@waybill/log';
import { whyUnreadable } from '@waybill/log/internal';
import { type AttributeValue, shownAttribute, type StoredAttribute } from '../definition/attributes.js';
import { ignoredEventLocation } from '../engine/ignored-events.js';
import { SagaContents } from '../engine/saga-contents.js';
import type { SagaData } from '../definition/saga-definition.js';
import type { OrderEvent, SagaEvent, SagaOutput } from '../machine/saga-event.js';
import { isEnd, type SagaInstance, type SagaState, stateOf } from '../machine/saga-instance.js';
import { sealedOrder } from '../loop/saga-orders.js';
import { SagaBulk } from './saga-bulk.js';
import { LIMIT, type SagaFilter, SagaSearch, type SagaSummary, summaryOf } from './saga-search.js';
import type { SagaIgnored } from './saga-ignored.js';
import { NO_CONTENT, restoreInstance, type TransitionRecord } from '../engine/saga-store.js';
import {
  listIgnoredEvents,
  listSagaAttributes,
  listSagaCalls,
  listSagaOrders,
  listSagaRefusals,
  orderSaga,
  sagaStats,
  sagaTimeline,
  showSaga,
} from '../statements.generated.js';

/** One transition of a saga. */
export interface SagaTimelineEntry {
  readonly revision: number;
  readonly at: Date;
  /** Milliseconds since its start. */
  readonly elapsedMs: number;
  /** The state of the saga after it. */
  readonly state: SagaState;
  readonly events: readonly SagaEvent[];
  readonly outputs: readonly SagaOutput[];
  /** The time used by the machine, in milliseconds since the saga's start. */
  readonly nowMs: number;
  /** The operator who ordered it. */
  readonly by: string | null;
}

/** A saga and its history. */
export interface SagaDetail extends SagaSummary {
  /** Without data and steps when it is unreadable. */
  readonly instance: SagaInstance;
  /** Why its content cannot be decrypted: code and message; null when it is readable. */
  readonly unreadable: string | null;
  readonly timeline: readonly SagaTimelineEntry[];
  readonly actions: readonly SagaOrderSummary[];
  /** Its attributes. */
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  /** Its HTTP calls in progress. */
  readonly calls: readonly SagaCallSummary[];
}

/** An HTTP call of a saga that is in progress. */
export interface SagaCallSummary {
  readonly step: string;
  readonly op: string;
  readonly attempt: number;
  /** Digest of its idempotency key. */
  readonly round: number;
  readonly host: string;
  /** `awaited`: the endpoint replies later. `told`: its reply is in flight to the saga. */
  readonly state: 'open' | 'awaited' | 'told';
  /** Tries of this attempt, including the current one. */
  readonly tries: number;
  readonly isCalling: boolean;
  /** Time of the next try. */
  readonly nextAt: Date | null;
  readonly lastError: string | null;
}

/** An operator's order. */
export interface SagaOrderSummary {
  readonly id: number;
  readonly actedAt: Date;
  /** The login that ordered it. */
  readonly actor: string;
  /** The stated name of the operator. */
  readonly by: string;
  /** For example `saga.retry`. */
  readonly action: string;
  readonly reason: string | null;
  /** Null until the saga's service has handled it. */
  readonly outcome: 'applied' | 'refused' | null;
  /** Why it was refused. */
  readonly why: string | null;
}

/** A message to a service's sagas that was dropped because no participant sent it. */
export interface SagaRefusal {
  readonly refusedAt: Date;
  /** Identifies the service. */
  readonly replyTopic: string;
  readonly sagaId: string | null;
  readonly step: string | null;
  readonly why: string;
  readonly messageId: string | null;
  readonly partition: number;
  readonly offset: number;
}

/** Active sagas in one state. */
export interface SagaStats {
  readonly state: SagaState;
  readonly sagas: number;
  /** Age of the oldest, in milliseconds. */
  readonly oldestMs: number;
}

/** Options of waiting for an order. */
export interface OrderOptions {
  /** Carry it out only at this revision of the saga. Default: the current one. */
  readonly revision?: number;
  /** How long to wait for the service to carry it out, in milliseconds. Default 10,000. */
  readonly waitMs?: number;
}

const ORDER = { waitMs: wholeNumber({ default: 10_000, min: 0, max: 3_600_000 }) };
const LOOK_MS = 50;
/** Error of `order_saga()` for a saga that is not running. */
const NOT_UNDER_WAY = '22023';
/** Placeholder for a transition that cannot be read. */
const NO_RECORD = JSON.stringify({ nowMs: 0, events: [], outputs: [] } satisfies TransitionRecord);
/** The dependencies of {@link SagaOperations}. */
export interface SagaOperationsDependencies {
  /** The database of the service whose sagas they are. */
  readonly database: PgDatabase;
  readonly clock?: Clock;
  /** Decrypts what is shown, and encrypts orders. Default: one without a cipher. */
  readonly sealer?: Sealer | undefined;
}

/**
 * Lists and shows sagas, and gives orders, for operators. An order is written by a database function that only
 * operators may call and that records their login. The service, which has the definition, carries it out under the saga's
 * lock, only if the saga is unchanged since the operator saw it.
 */
export class SagaOperations {
  readonly #clock: Clock;
  readonly #contents: SagaContents;
  readonly #search: SagaSearch;
  /** Bulk orders. */
  readonly bulk: SagaBulk;

  constructor(private readonly dependencies: SagaOperationsDependencies) {
    this.#contents = new SagaContents(dependencies.sealer);
    this.#clock = dependencies.clock ?? systemClock;
    this.#search = new SagaSearch(dependencies.database, this.#contents);
    this.bulk = new SagaBulk(dependencies.database, this.#search, this.#clock);
  }

  /** Sagas in the order of their start. @throws ConfigurationError */
  list(filter: SagaFilter = {}): Promise<SagaSummary[]> {
    return this.#search.list(filter);
  }

  /** @throws NotFoundError */
  async show(id: string): Promise<SagaDetail> {
    const row = await this.#row(id);
    const rows = await this.dependencies.database.session.run(sagaTimeline, id);
    const { unreadable, content, records } = await this.#opened(id, row.content, rows);
    return {
      ...summaryOf(row),
      unreadable,
      instance: restoreInstance(row, content),
      timeline: rows.map(({ revision, at, elapsedMs, state }, index) => ({
        revision,
        at,
        elapsedMs,
        state: stateOf(state),
        by: null,
        ...(JSON.parse(records[index] ?? NO_RECORD) as TransitionRecord),
      })),
      actions: await this.#orders(id),
      attributes: await this.#attributes(id),
      calls: (await this.dependencies.database.session.run(listSagaCalls, id)) as SagaCallSummary[],
    };
  }

  async #attributes(id: string): Promise<Record<string, AttributeValue>> {
    const rows = await this.dependencies.database.session.run(listSagaAttributes, id);
    return dictionary(
      Object.fromEntries(rows.map((row) => [row.name, shownAttribute(row as StoredAttribute)])),
    );
  }

  async #opened(id: string, content: string, rows: readonly { readonly content: string }[]) {
    const { session } = this.dependencies.database;
    const open = (stored: string): Promise<string> => this.#contents.open(session, id, stored);
    try {
      const records = await Promise.all(rows.map((row) => open(row.content)));
      return { unreadable: null, content: await open(content), records };
    } catch (error) {
      return { unreadable: whyUnreadable(error), content: NO_CONTENT, records: [] };
    }
  }

  /** Messages to sagas that were dropped because no participant sent them; the newest first. */
  async refusals(replyTopic?: string, most = 100): Promise<SagaRefusal[]> {
    const { limit } = resolveOptions('list of refusals', { limit: LIMIT }, { limit: most });
    return this.dependencies.database.session.run(listSagaRefusals, replyTopic ?? null, limit);
  }

  /** What reached sagas, or one saga, and changed nothing; the newest first. */
  async ignored(sagaId?: string, most = 100): Promise<SagaIgnored[]> {
    const { limit } = resolveOptions('list of ignored events', { limit: LIMIT }, { limit: most });
    if (sagaId !== undefined && !isId(sagaId)) throw new NotFoundError(`saga ${sagaId}`);
    const { session } = this.dependencies.database;
    const rows = await session.run(listIgnoredEvents, sagaId ?? null, limit);
    return Promise.all(
      rows.map(async ({ content, ...row }) => {
        const location = ignoredEventLocation(row.sagaId);
        const json = await this.#contents.open(session, location, content).catch(() => undefined);
        return { ...row, payload: json === undefined ? undefined : (JSON.parse(json) as unknown) };
      }),
    );
  }

  /** The number of active sagas by state, and the age of the oldest. */
  async stats(replyTopic?: string): Promise<SagaStats[]> {
    const rows = await this.dependencies.database.session.run(sagaStats, replyTopic ?? null);
    return rows.map((row) => ({ ...row, state: stateOf(row.state) }));
  }

  /** Starts the next attempt of a step that is stuck or waits, with a new number of attempts. */
  retry(id: string, step: string, operator: Operator, options?: OrderOptions): Promise<SagaSummary> {
    return this.#order(id, { type: 'retry', step }, operator, options);
  }

  /** Continues as if the step, or its compensation, were not needed. */
  skip(id: string, step: string, operator: Operator, options?: OrderOptions): Promise<SagaSummary> {
    return this.#order(id, { type: 'skip', step }, operator, options);
  }

  /** Continues as if the step, or its compensation, had succeeded with this data. */
  resolve(
    id: string,
    step: string,
    data: SagaData,
    operator: Operator,
    options?: OrderOptions,
  ): Promise<SagaSummary> {
    return this.#order(id, { type: 'resolve', step, data }, operator, options);
  }

  /** Compensates the saga, even after its pivot. */
  compensate(id: string, operator: Operator, options?: OrderOptions): Promise<SagaSummary> {
    const reason = `by ${operator.by}: ${operator.reason ?? 'no reason given'}`;
    return this.#order(id, { type: 'compensate', reason }, operator, options);
  }

  /** Compensates the saga unless it has passed its pivot; it ends as CANCELLED. */
  cancel(id: string, operator: Operator, options?: OrderOptions): Promise<SagaSummary> {
    const reason = `cancelled by ${operator.by}: ${operator.reason ?? 'no reason given'}`;
    return this.#order(id, { type: 'cancel', reason }, operator, options);
  }

  /** @throws NotFoundError, SagaOrderRefusedError */
  async #order(
    id: string,
    event: OrderEvent,
    operator: Operator,
    { revision, ...rest }: OrderOptions = {},
  ): Promise<SagaSummary> {
    const { waitMs } = resolveOptions('order to a saga', ORDER, rest);
    const row = await this.#row(id);
    const state = stateOf(row.state);
    // A completed child may still be compensated while its parent is running.
    const mayBeUndone = event.type === 'compensate' && state === 'COMPLETED' && row.parentId !== null;
    if (isEnd(state) && !mayBeUndone) throw new SagaOrderRefusedError(id, `it is ${state}`);
    assertOperator(operator, `saga ${id}`);
    const { session } = this.dependencies.database;
    const given = [revision ?? row.revision, operator.by, operator.reason ?? null] as const;
    const sealed = sealedOrder(this.#contents, id, event);
    const [order] = await session.run(orderSaga, id, sealed, ...given).catch((error: unknown) => {
      // It has ended in the meantime, or with its parent.
      throw sqlStateOf(error) === NOT_UNDER_WAY ? new SagaOrderRefusedError(id, 'it has ended') : error;
    });
    invariant(order !== undefined, `the order to saga ${id} was not stored`);
    return this.#outcome(id, order.id, waitMs);
  }

  /** Waits until the service has recorded the outcome of the order. */
  async #outcome(id: string, orderId: number, waitMs: number): Promise<SagaSummary> {
    const until = this.#clock.monotonic() + waitMs;
    for (;;) {
      const order = (await this.#orders(id)).find((candidate) => candidate.id === orderId);
      if (order?.outcome === 'applied') return summaryOf(await this.#row(id));
      if (order?.outcome === 'refused') throw new SagaOrderRefusedError(id, order.why ?? 'it has changed');
      if (this.#clock.monotonic() > until)
        throw new SagaOrderRefusedError(
          id,
          `no process of its service handled it within ${waitMs} ms (it still will be, if the saga is unchanged by then)`,
        );
      await this.#clock.sleep(LOOK_MS);
    }
  }

  async #orders(id: string): Promise<SagaOrderSummary[]> {
    const rows = await this.dependencies.database.session.run(listSagaOrders, id);
    return rows.map(({ order, orderedAt: actedAt, statedBy: by, outcome, ...row }) => ({
      id: row.id,
      actedAt,
      actor: row.actor,
      by,
      action: `saga.${(JSON.parse(order) as OrderEvent).type}`,
      reason: row.reason,
      outcome: outcome as SagaOrderSummary['outcome'],
      why: row.why,
    }));
  }

  async #row(id: string) {
    const [row] = isId(id) ? await this.dependencies.database.session.run(showSaga, id) : [];
    if (row === undefined) throw new NotFoundError(`saga ${id}`);
    return row;
  }
}
