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
} from '@waybill/kernel';
import { type Headers, REPLY_KEY_HEADER, REPLY_TO_HEADER } from '@waybill/consumer';
import type { Sealer } from '@waybill/log';
import type { EncodedMessage, Outbox } from '@waybill/outbox';
import { SagaCalls } from './saga-calls.js';
import { SagaContents } from './saga-contents.js';
import { dataOf, jsonOf } from '../machine/saga-data.js';
import type { SagaData, SagaDefinition, StepDefinition } from '../definition/saga-definition.js';
import type { SagaDefinitions } from '../definition/saga-definitions.js';
import type { SagaEvent, SagaOutput } from '../machine/saga-event.js';
import {
  replyTopicOf,
  SAGA_AGAIN_HEADER,
  SAGA_ATTEMPT_HEADER,
  SAGA_BRANCH_HEADER,
  SAGA_ID_HEADER,
  SAGA_MAC_HEADER,
  SAGA_OP_HEADER,
  SAGA_STEP_HEADER,
} from './saga-headers.js';
import { isEnd, type SagaInstance, type SagaState } from '../machine/saga-instance.js';
import { advance, newInstance, type Transition } from '../machine/saga-machine.js';
import { SagaKeys } from './saga-keys.js';
import { eventMessage, type WireEvent } from './saga-messages.js';
import type { OperatorOrder } from './saga-orders.js';
import { SagaRejection } from '../machine/saga-rejection.js';
import { reportIgnored, reportState } from './saga-report.js';
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
import { findChild } from '../statements.generated.js';

const savepoint = savepointOf('saga');
const KEY_MAX_AGE_MS = 30 * 86_400_000;

/** What a {@link SagaEngine} works with. */
export interface SagaEngineParts {
  readonly definitions: SagaDefinitions;
  readonly outbox: Outbox;
  /** The service: where answers to its sagas go is named after it. */
  readonly group: string;
  readonly logger: Logger;
  /** A key of its sagas is followed by another one after this, in milliseconds. Default 30 days. */
  readonly keyMaxAgeMs?: number;
  /** Encrypts sagas. Default: nothing is encrypted. */
  readonly sealer?: Sealer | undefined;
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
  /** Whose data it holds. */
  readonly subject?: string | undefined;
}

/** Told the state that a transition has led to. */
type Reached = (state: SagaState) => void;

/** A transition under way: it grows while local actions answer. */
interface Work {
  readonly definition: SagaDefinition;
  readonly transaction: OpenTransaction<unknown>;
  readonly before: SagaInstance;
  instance: SagaInstance;
  readonly nowMs: number;
  readonly subject: string | undefined;
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
  /** By which it knows its own commands and events. */
  readonly keys: SagaKeys;
  /** By which sagas are kept. */
  readonly contents: SagaContents;
  /** The HTTP calls that its transitions ask for. */
  readonly calls: SagaCalls;
  readonly #trace: SagaTrace;

  constructor(private readonly parts: SagaEngineParts) {
    this.replyTopic = replyTopicOf(parts.group);
    this.keys = new SagaKeys(this.replyTopic, parts.keyMaxAgeMs ?? KEY_MAX_AGE_MS);
    this.contents = new SagaContents(parts.sealer);
    this.calls = new SagaCalls(this.replyTopic, this.contents);
    this.#trace = parts.trace ?? noSagaTrace;
  }

  get group(): string {
    return this.parts.group;
  }

  /** The keys of the service whose sagas get their answers there: this one's, or another's in the same database. */
  keysOf(replyTopic: string): SagaKeys {
    return replyTopic === this.replyTopic ? this.keys : new SagaKeys(replyTopic, this.keys.maxAgeMs);
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
    { key, data, parent, deadlineMs = definition.deadlineMs, subject }: NewSaga,
    reached: Reached,
  ): Promise<{ readonly id: string; readonly created: boolean }> {
    const { session } = transaction;
    const { type, version } = definition;
    const startedIn = this.#trace.current();
    const instance = newInstance(definition, id, key, dataOf(definition, id, data), deadlineMs);
    const start: SagaEvent = { type: 'start', data: instance.data, deadlineMs };
    const { replyTopic } = this;
    const first = advance(definition, instance, start, 0);
    const work = this.#work(definition, transaction, { instance, nowMs: 0, subject });
    // Without actions of its own it is written once, as it is after its first commands.
    const isQuiet =
      first.outputs.every(({ type: kind }) => kind === 'command') && !isEnd(first.instance.state);
    if (isQuiet) await this.#take(work, start, first);
    const begun = isQuiet && work.instance.state === 'RUNNING' ? work.instance : instance;
    const record = recordOf(begun === instance ? { nowMs: 0, events: [], outputs: [] } : work);
    const saga = { type, version, parent, startedIn, subject };
    const found = await insertSaga(session, this.contents, { ...saga, instance: begun, replyTopic, record });
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
  async tell(transaction: OpenTransaction<unknown>, id: string, event: SagaEvent): Promise<Applied> {
    const stored = await lockSaga(transaction.session, this.contents, id);
    return stored === undefined ? 'ignored' : this.carry(transaction, stored, event);
  }

  /**
   * Carries out an operator's order, in `transaction`, while the saga is as the operator saw it.
   * @returns why it was not; undefined when it was
   * @throws SagaVersionUnknownError
   */
  async order(transaction: OpenTransaction<unknown>, order: OperatorOrder): Promise<string | undefined> {
    const stored = await lockSaga(transaction.session, this.contents, order.sagaId);
    if (stored === undefined) return 'it has ended';
    if (order.revision !== stored.revision)
      return `it is at revision ${stored.revision} by now, not at ${order.revision}`;
    const applied = await this.carry(transaction, stored, order.event, order.by);
    return applied === 'applied' ? undefined : 'it changes nothing';
  }

  /** As {@link tell}, for a saga that is locked already. */
  async carry(
    transaction: OpenTransaction<unknown>,
    stored: StoredSaga,
    event: SagaEvent,
    by?: string,
  ): Promise<Applied> {
    const { type, version, startedIn, instance } = stored;
    const definition = this.parts.definitions.get(type, version);
    const step = 'step' in event ? event.step : event.type;
    return this.#trace.transition({ id: instance.id, type, step, startedIn }, (reached) =>
      this.#carry(stored, definition, transaction, event, by, reached),
    );
  }

  async #carry(
    stored: StoredSaga,
    definition: SagaDefinition,
    transaction: OpenTransaction<unknown>,
    event: SagaEvent,
    by: string | undefined,
    reached: Reached,
  ): Promise<Applied> {
    const work = this.#work(definition, transaction, stored);
    await this.#take(work, event, advance(definition, stored.instance, event, stored.nowMs));
    reached(work.instance.state);
    if (work.outputs.every(({ type }) => type === 'ignored') && isSame(stored.instance, work.instance)) {
      reportIgnored(this.parts.logger, work.instance, work.outputs, event);
      return 'ignored';
    }
    await this.#tellParent(work, stored.parent);
    const record = { ...recordOf(work), ...(by === undefined ? {} : { by }) };
    const exactly = event.type === 'due';
    await saveTransition(transaction.session, this.contents, stored, work.instance, record, exactly);
    await this.#publish(work);
    reportState(this.parts.logger, definition.type, stored.instance, work.instance);
    return 'applied';
  }

  #work(
    definition: SagaDefinition,
    transaction: OpenTransaction<unknown>,
    { instance, nowMs, subject }: Pick<StoredSaga, 'instance' | 'nowMs' | 'subject'>,
  ): Work {
    const made = { events: [], outputs: [], messages: [] };
    return { definition, transaction, before: instance, instance, nowMs, subject, ...made };
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

  async #command(
    work: Work,
    output: Extract<SagaOutput, { type: 'command' }>,
  ): Promise<SagaEvent | undefined> {
    const { id } = work.instance;
    const { step, op, attempt, topic, payload, again } = output;
    if (output.url !== undefined) return this.calls.check(work, output);
    const branch = stepOf(work.definition, step).branch;
    const control: Headers = {
      [SAGA_ID_HEADER]: id,
      [SAGA_STEP_HEADER]: step,
      [SAGA_BRANCH_HEADER]: branch,
      [SAGA_OP_HEADER]: op,
      [SAGA_ATTEMPT_HEADER]: String(attempt),
      [REPLY_TO_HEADER]: this.replyTopic,
      [REPLY_KEY_HEADER]: id,
      ...(again ? { [SAGA_AGAIN_HEADER]: '1' } : {}),
    };
    // A key of its own for each operation: a compensation must not wait behind the action that it undoes.
    const { subject = null } = work;
    const message = { topic, key: `${id}:${branch}:${op}`, control, payload, subject };
    let encoded: EncodedMessage;
    try {
      encoded = this.parts.outbox.encodeControl(message);
    } catch (error) {
      if (!isWaybillError(error)) throw error;
      return { type: 'unsendable', step, error: describeError(error) };
    }
    const mac = await this.keys.command(work.transaction.session, { sagaId: id, step, op, attempt });
    work.messages.push(this.parts.outbox.withControl(encoded, { ...control, [SAGA_MAC_HEADER]: mac }));
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
    const { subject } = work;
    const { created } = await this.start(work.transaction, definition, { key, data, parent, subject });
    if (created) return undefined;
    return { type: 'unsendable', step, error: `there is a saga ${childType} with key ${key} already` };
  }

  /** Children are told by message: two sagas that lock each other in one transaction could wait for each other. */
  async #undoChild(work: Work, step: string): Promise<undefined> {
    const [child] = await work.transaction.session.run(findChild, work.instance.id, step);
    if (child === undefined) throw new NotFoundError(`child of saga ${work.instance.id} at step ${step}`);
    await this.#tell(work, child.id, {
      type: 'undo',
      reason: `its parent ${work.instance.id} is compensated`,
    });
    return undefined;
  }

  async #tellParent(work: Work, parent: SagaParent | null): Promise<void> {
    const { state, data } = work.instance;
    if (parent === null || !isEnd(state)) return;
    await this.#tell(work, parent.id, { type: 'child', step: parent.step, state, data });
  }

  /** Has another saga of this service told of an event, by way of the log. */
  async #tell(work: Work, id: string, event: WireEvent): Promise<void> {
    const { subject = null } = work;
    const parts = { outbox: this.parts.outbox, keys: this.keys, subject };
    work.messages.push(await eventMessage(work.transaction.session, parts, id, event));
  }

  async #publish(work: Work): Promise<void> {
    const { messages, transaction } = work;
    if (messages.length > 0) await this.parts.outbox.publishEncoded(transaction.session, messages);
    await this.calls.save(work);
  }
}

function recordOf({ nowMs, events, outputs }: TransitionRecord): TransitionRecord {
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
