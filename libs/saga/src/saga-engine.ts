import {
  describeError,
  isInfrastructureFailure,
  isWaybillError,
  type Logger,
  newId,
  NotFoundError,
  type OpenTransaction,
  own,
  runAhead,
  savepointOf,
  type SqlSession,
} from '@waybill/kernel';
import { type Headers, REPLY_KEY_HEADER, REPLY_TO_HEADER } from '@waybill/consumer';
import type { EncodedMessage, Outbox } from '@waybill/outbox';
import { operatorAction } from '@waybill/schedule';
import { dataOf, jsonOf } from './saga-data.js';
import type { SagaData, SagaDefinition, StepDefinition } from './saga-definition.js';
import type { SagaDefinitions } from './saga-definitions.js';
import type { SagaEvent, SagaOutput } from './saga-event.js';
import {
  callTopicOf,
  replyTopicOf,
  SAGA_AGAIN_HEADER,
  SAGA_ATTEMPT_HEADER,
  SAGA_BRANCH_HEADER,
  SAGA_ID_HEADER,
  SAGA_OP_HEADER,
  SAGA_STEP_HEADER,
  SAGA_URL_HEADER,
} from './saga-headers.js';
import { isEnd, type SagaInstance, type SagaState } from './saga-instance.js';
import { advance, newInstance, type Transition } from './saga-machine.js';
import { eventMessage, type OperatorOrder } from './saga-messages.js';
import { SagaRejection } from './saga-rejection.js';
import { noSagaTrace, type SagaTrace } from './saga-trace.js';
import {
  insertSaga,
  isSame,
  lockSaga,
  type SagaParent,
  saveTransition,
  type StoredSaga,
  type TransitionRecord,
} from './saga-store.js';
import { findChild } from './statements.generated.js';

const savepoint = savepointOf('saga');

/** What a {@link SagaEngine} works with. */
export interface SagaEngineParts {
  readonly definitions: SagaDefinitions;
  readonly outbox: Outbox;
  /** The service: where answers to its sagas go, and their HTTP calls, is named after it. */
  readonly group: string;
  readonly logger: Logger;
  /** Follows transitions. Default: nobody does. */
  readonly trace?: SagaTrace;
}

/** What came of an event for a saga. */
export type Applied = 'applied' | 'ignored';

/** What the saga is started with. */
export interface NewSaga {
  readonly key: string;
  readonly data: SagaData;
  readonly parent: SagaParent | null;
  readonly deadlineMs?: number | null | undefined;
}

/** Told the state that a transition has led to. */
type Reached = (state: SagaState) => void;

/** A transition under way: it grows while local actions answer. */
interface Work {
  readonly definition: SagaDefinition;
  readonly transaction: OpenTransaction<unknown>;
  instance: SagaInstance;
  readonly nowMs: number;
  readonly events: SagaEvent[];
  readonly outputs: SagaOutput[];
  readonly messages: EncodedMessage[];
}

/**
 * Carries sagas on: reads one under its lock, lets the machine say what follows, and writes the saga, its step log and
 * its commands in the caller's transaction. So a crash at any place leaves a transition done, or not begun.
 */
export class SagaEngine {
  /** Where answers to the sagas of this service go. */
  readonly replyTopic: string;
  readonly #trace: SagaTrace;

  constructor(private readonly parts: SagaEngineParts) {
    this.replyTopic = replyTopicOf(parts.group);
    this.#trace = parts.trace ?? noSagaTrace;
  }

  get group(): string {
    return this.parts.group;
  }

  /** Begins a saga in `transaction`; one of the same type and key is found instead, whether under way or ended. */
  async start(
    transaction: OpenTransaction<unknown>,
    definition: SagaDefinition,
    start: NewSaga,
  ): Promise<{ readonly id: string; readonly created: boolean }> {
    const id = newId();
    const about = { id, type: definition.type, step: 'start', startedIn: undefined };
    return this.#trace.transition(about, (reached) =>
      this.#start(transaction, definition, id, start, reached),
    );
  }

  async #start(
    transaction: OpenTransaction<unknown>,
    definition: SagaDefinition,
    id: string,
    { key, data, parent, deadlineMs = definition.deadlineMs }: NewSaga,
    reached: Reached,
  ): Promise<{ readonly id: string; readonly created: boolean }> {
    const { session } = transaction;
    const { type, version } = definition;
    const startedIn = this.#trace.current();
    const instance = newInstance(definition, id, key, dataOf(definition, id, data), deadlineMs);
    const start: SagaEvent = { type: 'start', data: instance.data, deadlineMs };
    const { replyTopic } = this;
    const first = advance(definition, instance, start, 0);
    const work = this.#work(definition, transaction, instance, 0);
    // Without actions of its own it is written once, as it is after its first commands.
    const isQuiet =
      first.outputs.every(({ type: kind }) => kind === 'command') && !isEnd(first.instance.state);
    if (isQuiet) await this.#take(work, start, first);
    const begun = isQuiet && work.instance.state === 'RUNNING' ? work.instance : instance;
    const record =
      begun === instance ? recordOf(this.#work(definition, transaction, instance, 0)) : recordOf(work);
    const saga = { type, version, parent, startedIn };
    const found = await insertSaga(session, { ...saga, instance: begun, replyTopic, record });
    if (!found.created) return found;
    if (begun !== instance) {
      await this.#publish(work);
      reached(begun.state);
    } else {
      const before: StoredSaga = { ...saga, revision: 1, instance, nowMs: 0 };
      await this.#carry(before, definition, transaction, start, undefined, reached);
    }
    return found;
  }

  /**
   * Tells a saga of an event, in `transaction`.
   * @returns `ignored` when it has ended, or the event changes nothing
   * @throws SagaVersionUnknownError
   */
  async tell(
    transaction: OpenTransaction<unknown>,
    id: string,
    event: SagaEvent,
    order?: OperatorOrder,
  ): Promise<Applied> {
    const stored = await lockSaga(transaction.session, id);
    let why = 'it has ended';
    let outcome: Applied = 'ignored';
    if (stored !== undefined) {
      const changed = order !== undefined && order.revision !== stored.revision;
      why = changed
        ? `it is at revision ${stored.revision} by now, not at ${order.revision}`
        : 'it changes nothing';
      if (!changed) outcome = await this.carry(transaction, stored, event, order);
    }
    if (order !== undefined) await this.#audit(transaction.session, id, event, order, { outcome, why });
    return outcome;
  }

  /** As {@link tell}, for a saga that is locked already. */
  async carry(
    transaction: OpenTransaction<unknown>,
    stored: StoredSaga,
    event: SagaEvent,
    order?: OperatorOrder,
  ): Promise<Applied> {
    const { type, version, startedIn, instance } = stored;
    const definition = this.parts.definitions.get(type, version);
    const step = 'step' in event ? event.step : event.type;
    return this.#trace.transition({ id: instance.id, type, step, startedIn }, (reached) =>
      this.#carry(stored, definition, transaction, event, order, reached),
    );
  }

  async #carry(
    stored: StoredSaga,
    definition: SagaDefinition,
    transaction: OpenTransaction<unknown>,
    event: SagaEvent,
    order: OperatorOrder | undefined,
    reached: Reached,
  ): Promise<Applied> {
    const work = this.#work(definition, transaction, stored.instance, stored.nowMs);
    await this.#take(work, event, advance(definition, stored.instance, event, stored.nowMs));
    reached(work.instance.state);
    if (work.outputs.every(({ type }) => type === 'ignored') && isSame(stored.instance, work.instance)) {
      this.#reportIgnored(work, event);
      return 'ignored';
    }
    this.#tellParent(work, stored.parent);
    const record = { ...recordOf(work), ...(order === undefined ? {} : { by: order.by }) };
    await saveTransition(transaction.session, stored, work.instance, record, event.type === 'due');
    await this.#publish(work);
    this.#report(work, stored);
    return 'applied';
  }

  #work(
    definition: SagaDefinition,
    transaction: OpenTransaction<unknown>,
    instance: SagaInstance,
    nowMs: number,
  ): Work {
    return { definition, transaction, instance, nowMs, events: [], outputs: [], messages: [] };
  }

  /** Does what a transition asks for, and what follows from that. */
  async #take(work: Work, event: SagaEvent, { instance, outputs }: Transition): Promise<void> {
    work.instance = instance;
    work.events.push(event);
    for (const output of outputs) {
      // What an answer of this very transition has made void is not done any more.
      if (isVoid(work.instance, output)) continue;
      work.outputs.push(output);
      const answer = await this.#do(work, output);
      if (answer !== undefined)
        await this.#take(work, answer, advance(work.definition, work.instance, answer, work.nowMs));
    }
  }

  /** @returns what the saga has to be told of it */
  async #do(work: Work, output: SagaOutput): Promise<SagaEvent | undefined> {
    switch (output.type) {
      case 'command':
        return this.#command(work, output);
      case 'local':
        return this.#local(work, output);
      case 'child':
        return this.#child(work, output);
      case 'undo-child':
        return this.#undoChild(work, output.step);
      case 'ignored':
        return undefined;
    }
  }

  #command(work: Work, output: Extract<SagaOutput, { type: 'command' }>): SagaEvent | undefined {
    const { id } = work.instance;
    const { step, op, attempt, url, payload, again } = output;
    const topic = url === undefined ? output.topic : callTopicOf(this.parts.group);
    const branch = stepOf(work.definition, step).branch;
    const headers: Headers = {
      [SAGA_ID_HEADER]: id,
      [SAGA_STEP_HEADER]: step,
      [SAGA_BRANCH_HEADER]: branch,
      [SAGA_OP_HEADER]: op,
      [SAGA_ATTEMPT_HEADER]: String(attempt),
      [REPLY_TO_HEADER]: this.replyTopic,
      [REPLY_KEY_HEADER]: id,
      ...(again ? { [SAGA_AGAIN_HEADER]: '1' } : {}),
      ...(url === undefined ? {} : { [SAGA_URL_HEADER]: url }),
    };
    // A key of its own for each operation: a compensation must not wait behind the action that it undoes.
    const message = { topic, key: `${id}:${branch}:${op}`, headers, payload };
    try {
      work.messages.push(this.parts.outbox.encode(message));
    } catch (error) {
      if (!isWaybillError(error)) throw error;
      return { type: 'unsendable', step, error: describeError(error) };
    }
    return undefined;
  }

  /** Runs a local action under a savepoint: what fails leaves nothing, and the transition goes on. */
  async #local(work: Work, { step, undo }: { step: string; undo: boolean }): Promise<SagaEvent> {
    const definition = stepOf(work.definition, step);
    const action = undo ? definition.undo : definition.forward;
    const { session, handle } = work.transaction;
    if (action?.kind !== 'local') throw new RangeError(`step ${step} has no such action`);
    const answer = { type: 'local', step, undo } as const;
    await runAhead(session, savepoint.set);
    try {
      const { id: sagaId, data, reason } = work.instance;
      const context = { transaction: handle, sagaId, reason };
      const payload = await action.run(data, context);
      return {
        ...answer,
        status: 'done',
        payload: payload === undefined ? undefined : jsonOf(payload, 'result'),
      };
    } catch (error) {
      if (isInfrastructureFailure(error)) throw error;
      await session.run(savepoint.goBack);
      if (error instanceof SagaRejection) return { ...answer, status: 'rejected', error: error.reason };
      return { ...answer, status: 'failed', error: describeError(error) };
    }
  }

  async #child(work: Work, output: Extract<SagaOutput, { type: 'child' }>): Promise<SagaEvent | undefined> {
    const { step, childType, childVersion, key, data } = output;
    const parent = { id: work.instance.id, step };
    const definition = this.parts.definitions.get(childType, childVersion);
    const { created } = await this.start(work.transaction, definition, { key, data, parent });
    if (created) return undefined;
    return { type: 'unsendable', step, error: `there is a saga ${childType} with key ${key} already` };
  }

  /** Children are told by message: two sagas that lock each other in one transaction could wait for each other. */
  async #undoChild(work: Work, step: string): Promise<undefined> {
    const [child] = await work.transaction.session.run(findChild, work.instance.id, step);
    if (child === undefined) throw new NotFoundError(`child of saga ${work.instance.id} at step ${step}`);
    const event: SagaEvent = { type: 'compensate', reason: `its parent ${work.instance.id} is compensated` };
    work.messages.push(this.parts.outbox.encode(eventMessage(child.id, this.replyTopic, event)));
    return undefined;
  }

  #tellParent(work: Work, parent: SagaParent | null): void {
    const { state, data } = work.instance;
    if (parent === null || !isEnd(state)) return;
    const event: SagaEvent = { type: 'child', step: parent.step, state, data };
    work.messages.push(this.parts.outbox.encode(eventMessage(parent.id, this.replyTopic, event)));
  }

  async #publish({ messages, transaction }: Work): Promise<void> {
    if (messages.length > 0) await this.parts.outbox.publishEncoded(transaction.session, messages);
  }

  async #audit(
    session: SqlSession,
    id: string,
    event: SagaEvent,
    { by, reason, revision, orderedMs }: OperatorOrder,
    { outcome, why }: { readonly outcome: Applied; readonly why: string },
  ): Promise<void> {
    const operator = reason === null ? { by } : { by, reason };
    const details = { event, revision, orderedMs, outcome, ...(outcome === 'ignored' ? { why } : {}) };
    const { statement: text, params } = operatorAction(
      operator,
      `saga.${event.type}`,
      { kind: 'saga', id },
      details,
    );
    await session.run(text, ...params);
  }

  #reportIgnored({ instance, outputs }: Work, event: SagaEvent): void {
    const why = outputs.flatMap((output) => (output.type === 'ignored' ? output.why : [])).join('; ');
    if (event.type !== 'due')
      this.parts.logger.debug(`saga ${instance.id} ignored ${event.type}: ${why}`, { state: instance.state });
  }

  #report({ instance, definition }: Work, { instance: before }: StoredSaga): void {
    if (instance.state === before.state) return;
    const { logger } = this.parts;
    const what = `saga ${definition.type} ${instance.id} is ${instance.state}`;
    const why = instance.reason === null ? '' : `: ${instance.reason}`;
    if (instance.state === 'STUCK') logger.error(`${what}${why}. An operator has to decide.`);
    else if (instance.state === 'COMPENSATING') logger.warn(`${what}${why}`);
  }
}

function recordOf({ nowMs, events, outputs }: Work): TransitionRecord {
  return { nowMs, events, outputs };
}

function isVoid({ steps }: SagaInstance, output: SagaOutput): boolean {
  if (output.type !== 'command' && output.type !== 'local') return false;
  const record = own(steps, output.step);
  const isUnderWay = record?.status === 'running' || record?.status === 'undoing';
  return !isUnderWay || record.attempt !== output.attempt;
}

function stepOf(definition: SagaDefinition, name: string): StepDefinition {
  const step = definition.steps.find((candidate) => candidate.name === name);
  if (step === undefined) throw new RangeError(`saga ${definition.type} has no step ${name}`);
  return step;
}
