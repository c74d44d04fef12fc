import {
  type Clock,
  NotFoundError,
  type OpenTransaction,
  resolveOptions,
  type SqlSession,
  systemClock,
  type TransactionRunner,
  wholeNumber,
} from '@waybill/kernel';
import { cleanText } from '@waybill/kernel/internal';
import { SagaSignalUnknownError, SagaUnderWayError } from '../errors/saga-errors.js';
import { joinTransaction, type Outbox, type TransactionHandle } from '@waybill/outbox';
import { type CallReply, callReply } from './call-reply.js';
import type { SagaData, SagaDefinition } from '../definition/saga-definition.js';
import { DEADLINE } from '../builder/step-drafts.js';
import type { SagaEngine } from '../engine/saga-engine.js';
import { isEnd, type SagaState, stateOf } from '../machine/saga-instance.js';
import { eventMessage, type WireEvent } from '../message/saga-messages.js';
import { assertName } from '../machine/saga-input.js';
import { restoreInstance, subjectOf } from '../engine/saga-store.js';
import { findSaga, showSaga } from '../statements.generated.js';

/** Which saga: by its id, or by its type and key. */
export type SagaRef =
  string | { readonly saga: SagaDefinition | { readonly type: string }; readonly key: string };

/** Options of a start. */
export interface SagaStart<Input extends object> {
  /** Unique among sagas of its type, for example an order number. Starting twice with one key starts one saga. */
  readonly key: string;
  readonly data: Input;
  /** Overrides the definition's, in milliseconds from now; null for none. */
  readonly deadlineMs?: number | null;
  /**
   * The person whose data it holds: an internal id such as `customer-17`. The saga and its messages are encrypted with keys of that
   * subject and become unreadable when it is erased. Needs the option `cipher`.
   */
  readonly subject?: string;
}

/** The result of a start. */
export interface SagaStarted {
  readonly id: string;
  /** False when a saga of this type and key existed already. */
  readonly created: boolean;
}

/** Options of a signal. */
export interface SagaSignalOptions {
  /** Id of the signal, for deduplication: two with one id count once, as when a webhook is called twice. A saga remembers the last 1,000. */
  readonly id?: string;
}

/** The definition named in a saga's row. */
interface SagaRow {
  readonly id: string;
  readonly type: string;
  readonly version: number;
}

/** The outcome of a saga. */
export interface SagaOutcome {
  readonly id: string;
  readonly state: Extract<SagaState, 'COMPLETED' | 'COMPENSATED' | 'CANCELLED'>;
  /** Why it was compensated; null when it was not. */
  readonly reason: string | null;
  readonly data: SagaData;
}

/** Options of waiting for an outcome. */
export interface SagaOutcomeOptions {
  /** In milliseconds, up to a day. Default 30,000. */
  readonly timeoutMs?: number;
  /** Stops waiting; the saga continues. */
  readonly signal?: AbortSignal;
}

/** Longest stored reason, in characters. */
const REASON_CHARS = 1_000;
const OUTCOME = { timeoutMs: wholeNumber({ default: 30_000, min: 0, max: 86_400_000 }) };
/** Polling for an outcome slows down: most sagas end quickly, the others take long. */
const FIRST_LOOK_MS = 10;
const LAST_LOOK_MS = 500;

/** What {@link Sagas} works with. */
export interface SagasDependencies {
  readonly engine: SagaEngine;
  readonly schema: string;
  readonly outbox: Outbox;
  readonly transactions: TransactionRunner;
  readonly clock?: Clock;
}

/** Starts, signals and cancels sagas in the caller's transaction. */
export class Sagas {
  constructor(private readonly dependencies: SagasDependencies) {}

  /**
   * Starts a saga in the caller's transaction: it begins when that commits, and never when it does not. Local actions
   * that come first run in this transaction.
   *
   * @throws TransactionRequiredError unless `tx` is an open transaction
   * @throws SagaInputError, PayloadNotSerializableError when the key or the data are not usable
   * @throws ConfigurationError when `deadlineMs` is out of range, or there is a subject and no cipher
   * @throws SubjectErasedError
   */
  async start<Input extends object, Output extends object>(
    tx: TransactionHandle,
    definition: SagaDefinition<Input, Output>,
    { key, data, deadlineMs, subject }: SagaStart<Input>,
  ): Promise<SagaStarted> {
    if (deadlineMs !== undefined && deadlineMs !== null)
      resolveOptions('start of a saga', { deadlineMs: DEADLINE }, { deadlineMs });
    const transaction = this.#join(tx);
    return this.dependencies.engine.start(transaction, definition as unknown as SagaDefinition, {
      key,
      data: data as SagaData,
      parent: null,
      deadlineMs,
      subject,
    });
  }

  /**
   * Sends a signal to a saga when the caller's transaction commits. Signals of one name are taken in the order of their
   * arrival; one that arrives early is kept until its step begins. One that arrives too late is
   * stored for operators (`waybill saga ignored`).
   *
   * @throws TransactionRequiredError unless `tx` is an open transaction
   * @throws NotFoundError when there is no such saga
   * @throws SagaSignalUnknownError when no step of it waits for that name
   * @throws SagaInputError when the name or the id is not a string of 1 to 255 characters
   */
  async signal(
    tx: TransactionHandle,
    saga: SagaRef,
    name: string,
    payload: unknown = null,
    { id }: SagaSignalOptions = {},
  ): Promise<void> {
    assertName(name, 'The name of a signal');
    if (id !== undefined) assertName(id, 'The id of a signal');
    const event = { type: 'signal', name, payload, ...(id !== undefined && { id }) } as const;
    const { registered } = this.dependencies.engine;
    await this.#tell(tx, saga, event, async (session, { id: sagaId, type, version }) => {
      const known = await registered.signalsOf(session, type, version);
      if (known?.includes(name) === false) throw new SagaSignalUnknownError(sagaId, name, type, known);
    });
  }

  /**
   * Cancels a saga when the caller's transaction commits: unless it has passed a pivot by then, it is compensated and ends as
   * CANCELLED. A cancellation that arrives too late is stored for operators (`waybill saga ignored`).
   *
   * @throws TransactionRequiredError unless `tx` is an open transaction
   * @throws NotFoundError when there is no such saga
   */
  async cancel(tx: TransactionHandle, saga: SagaRef, reason: string): Promise<void> {
    await this.#tell(tx, saga, { type: 'cancel', reason: cleanText(reason, REASON_CHARS) });
  }

  /**
   * Compensates a saga when the caller's transaction commits, like {@link cancel}, but it ends as COMPENSATED.
   * @throws as {@link cancel}
   */
  async compensate(tx: TransactionHandle, saga: SagaRef, reason: string): Promise<void> {
    await this.#tell(tx, saga, { type: 'turn', reason: cleanText(reason, REASON_CHARS) });
  }

  async #tell(
    tx: TransactionHandle,
    saga: SagaRef,
    event: WireEvent,
    check: (session: SqlSession, row: SagaRow) => Promise<void> = async () => {},
  ): Promise<void> {
    const { session } = this.#join(tx);
    const id = await this.#idOf(session, saga);
    const [row] = await session.run(showSaga, id);
    if (row === undefined) throw new NotFoundError(`saga ${id}`);
    const { outbox, engine } = this.dependencies;
    const subject = subjectOf(await engine.contents.open(session, id, row.content));
    const dependencies = { outbox, keys: engine.keysOf(row.replyTopic), subject };
    const message = await eventMessage(session, dependencies, id, event);
    await check(session, row);
    await outbox.publishEncoded(tx, [message]);
  }

  /**
   * Passes the later reply of an endpoint to an HTTP call on to its saga when the caller's transaction commits
   * (`callback: true`).
   *
   * @param token the header `waybill-callback` of the call
   * @returns false when the saga has this reply already: a webhook that is called twice changes nothing
   * @throws TransactionRequiredError unless `tx` is an open transaction
   * @throws SagaCallbackRefusedError for a forged token, or one of a call that the saga no longer awaits
   * @throws PayloadNotSerializableError, MessageTooLargeError
   */
  async replyToCall(tx: TransactionHandle, token: string, reply: CallReply): Promise<boolean> {
    const { engine, outbox } = this.dependencies;
    const { session } = this.#join(tx);
    const message = await callReply({ engine, outbox, session }, token, reply);
    if (message !== undefined) await outbox.publishEncoded(tx, [message]);
    return message !== undefined;
  }

  /** The id of a saga, running or ended. @throws NotFoundError */
  find(saga: SagaRef): Promise<string> {
    return this.#idOf(this.dependencies.transactions.session, saga);
  }

  /**
   * Waits until a saga has ended. The saga does not depend on the waiting caller.
   *
   * @throws NotFoundError when there is no such saga
   * @throws SagaUnderWayError when it has not ended within `timeoutMs`
   * @throws ConfigurationError when `timeoutMs` is out of range
   */
  async outcome(saga: SagaRef, { signal, ...given }: SagaOutcomeOptions = {}): Promise<SagaOutcome> {
    const { timeoutMs } = resolveOptions('outcome of a saga', OUTCOME, given);
    const { session } = this.dependencies.transactions;
    const clock = this.dependencies.clock ?? systemClock;
    const id = await this.#idOf(session, saga);
    const until = clock.monotonic() + timeoutMs;
    for (let waitMs = FIRST_LOOK_MS; ; waitMs = Math.min(waitMs * 1.5, LAST_LOOK_MS)) {
      signal?.throwIfAborted();
      const [row] = await session.run(showSaga, id);
      if (row === undefined) throw new NotFoundError(`saga ${id}`);
      const { key, reason, type } = row;
      const state = stateOf(row.state);
      if (isEnd(state)) {
        const content = await this.dependencies.engine.contents.open(session, id, row.content);
        const { data } = restoreInstance(row, content);
        return { id, state: state as SagaOutcome['state'], reason, data };
      }
      const leftMs = until - clock.monotonic();
      if (leftMs <= 0) throw new SagaUnderWayError(id, type, key, state, timeoutMs);
      await clock.sleep(Math.min(waitMs, leftMs), signal);
    }
  }

  async #idOf(session: SqlSession, saga: SagaRef): Promise<string> {
    if (typeof saga === 'string') return saga;
    const [row] = await session.run(findSaga, saga.saga.type, saga.key);
    if (row === undefined) throw new NotFoundError(`saga ${saga.saga.type} with key ${saga.key}`);
    return row.id;
  }

  #join(tx: TransactionHandle): OpenTransaction<unknown> {
    return { session: joinTransaction(tx, this.dependencies.schema, false).session, handle: tx };
  }
}
