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

/** What a saga is started with. */
export interface SagaStart<Input extends object> {
  /** Names it among those of its type: an order's number. Starting twice with one key starts one saga. */
  readonly key: string;
  readonly data: Input;
  /** Overrides the definition's, in milliseconds from now; null for none. */
  readonly deadlineMs?: number | null;
  /**
   * Whose data it holds: an internal id, such as `customer-17`. The saga and its messages are encrypted with keys of that
   * subject's own, and are unreadable once it is erased. Needs the option `cipher`.
   */
  readonly subject?: string;
}

/** What became of a start. */
export interface SagaStarted {
  readonly id: string;
  /** False when there was one of this type and key already. */
  readonly created: boolean;
}

/** How a signal is sent. */
export interface SagaSignalOptions {
  /** Names the signal: two of one id count once, as when a webhook comes twice. The saga remembers the last 1,000. */
  readonly id?: string;
}

/** What a saga's row says of its definition. */
interface SagaRow {
  readonly id: string;
  readonly type: string;
  readonly version: number;
}

/** How a saga has ended. */
export interface SagaOutcome {
  readonly id: string;
  readonly state: Extract<SagaState, 'COMPLETED' | 'COMPENSATED' | 'CANCELLED'>;
  /** Why it was compensated; null when it was not. */
  readonly reason: string | null;
  readonly data: SagaData;
}

/** How long an outcome is waited for. */
export interface SagaOutcomeOptions {
  /** In milliseconds, up to a day. Default 30,000. */
  readonly timeoutMs?: number;
  /** Gives the waiting up; the saga goes on. */
  readonly signal?: AbortSignal;
}

/** Longest reason that is kept, in characters. */
const REASON_CHARS = 1_000;
const OUTCOME = { timeoutMs: wholeNumber({ default: 30_000, min: 0, max: 86_400_000 }) };
/** Looks for an outcome come ever more slowly: a saga either takes a moment or takes its time. */
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

/** Starts sagas and tells them things, in the caller's transaction. */
export class Sagas {
  constructor(private readonly dependencies: SagasDependencies) {}

  /**
   * Starts a saga in the caller's transaction: it begins when that commits, and never when it does not. Local actions
   * that come first run in this transaction.
   *
   * @throws TransactionRequiredError unless `tx` is an open transaction
   * @throws SagaInputError, PayloadNotSerializableError when the key or the data are not usable
   * @throws ConfigurationError when `deadlineMs` is no such number, or there is a subject and no cipher
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
   * Sends a signal to a saga when the caller's transaction commits. Signals of one name are taken in the order in which they
   * come; one that nothing waits for yet is kept until its step begins. What comes when nothing will wait for it any more is
   * kept and shown to operators (`waybill saga ignored`).
   *
   * @throws TransactionRequiredError unless `tx` is an open transaction
   * @throws NotFoundError when there is no such saga
   * @throws SagaSignalUnknownError when no step of it waits for that name
   * @throws SagaInputError when the name, or the id, is no text of 1 to 255 characters
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
   * CANCELLED. A cancellation that comes too late is kept and shown to operators (`waybill saga ignored`).
   *
   * @throws TransactionRequiredError unless `tx` is an open transaction
   * @throws NotFoundError when there is no such saga
   */
  async cancel(tx: TransactionHandle, saga: SagaRef, reason: string): Promise<void> {
    await this.#tell(tx, saga, { type: 'cancel', reason: cleanText(reason, REASON_CHARS) });
  }

  /**
   * Compensates a saga when the caller's transaction commits, as {@link cancel} does, and it ends as COMPENSATED.
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
   * Tells a saga, when the caller's transaction commits, what an endpoint has answered later to an HTTP call
   * (`callback: true`).
   *
   * @param token the header `waybill-callback` of the call
   * @returns false where the saga has this answer already: a webhook that comes twice changes nothing
   * @throws TransactionRequiredError unless `tx` is an open transaction
   * @throws SagaCallbackRefusedError for a token that is forged, or of a call that is not awaited any more
   * @throws PayloadNotSerializableError, MessageTooLargeError
   */
  async replyToCall(tx: TransactionHandle, token: string, reply: CallReply): Promise<boolean> {
    const { engine, outbox } = this.dependencies;
    const { session } = this.#join(tx);
    const message = await callReply({ engine, outbox, session }, token, reply);
    if (message !== undefined) await outbox.publishEncoded(tx, [message]);
    return message !== undefined;
  }

  /** The id of a saga, under way or ended. @throws NotFoundError */
  find(saga: SagaRef): Promise<string> {
    return this.#idOf(this.dependencies.transactions.session, saga);
  }

  /**
   * Waits until a saga has come to its end; the saga does so whether anybody waits or not.
   *
   * @throws NotFoundError when there is no such saga
   * @throws SagaUnderWayError when it has not ended within `timeoutMs`
   * @throws ConfigurationError when `timeoutMs` is no such number
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
