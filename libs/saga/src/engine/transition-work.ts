import { describeError, HandlerAbandonedError, isWaybillError, type OpenTransaction } from '@waybill/kernel';
import { isConnectionLoss, savepointOf } from '@waybill/kernel/internal';
import { SagaVersionUnknownError } from '../errors/saga-errors.js';
import type { EncodedMessage } from '@waybill/outbox';
import type { SagaDefinition } from '../definition/saga-definition.js';
import type { SagaDefinitions } from '../definition/saga-definitions.js';
import { nextTransition, hasPassedPivot, type Transition } from '../machine/next-transition.js';
import type { SagaEvent, SagaOutput } from '../machine/saga-event.js';
import { isEnd, type SagaInstance } from '../machine/saga-instance.js';
import { isVoid, isWithdrawn } from '../machine/void-output.js';
import { findChild } from '../statements.generated.js';
import {
  commandMessage,
  type MessageDependencies,
  releaseMessage,
  reminderMessage,
  stepOf,
} from '../message/command-message.js';
import type { EventWaits } from './event-waits.js';
import type { CallingTransition, SagaCalls } from './saga-calls.js';
import type { IgnoredEvents } from './ignored-events.js';
import type { LocalSteps } from './local-steps.js';
import type { RegisteredDefinitions } from './registered-definitions.js';
import { eventMessage, type WireEvent } from '../message/saga-messages.js';
import type { NewSaga, SagaParent, StoredSaga, TransitionRecord } from './saga-store.js';

const savepoint = savepointOf('child');

/** The dependencies of transitions. */
export interface TransitionDependencies extends MessageDependencies {
  readonly definitions: SagaDefinitions;
  readonly registered: RegisteredDefinitions;
  readonly locals: LocalSteps;
  readonly calls: SagaCalls;
  readonly waits: EventWaits;
  readonly ignored: IgnoredEvents;
  /** Starts a child. */
  readonly start: (
    transaction: OpenTransaction<unknown>,
    definition: SagaDefinition,
    start: NewSaga,
  ) => Promise<{ readonly id: string; readonly created: boolean }>;
}

/** The saga of a transition. */
type WorkSaga = Pick<StoredSaga, 'instance' | 'nowMs' | 'subject'>;

/** A message sent with the transition, unless a later event of it makes the message void. */
interface Outgoing {
  readonly output: SagaOutput | undefined;
  readonly message: EncodedMessage;
}

/** A transition in progress: it grows as local actions report their results. */
export class TransitionWork {
  instance: SagaInstance;
  readonly #before: SagaInstance;
  readonly #nowMs: number;
  readonly #subject: string | undefined;
  readonly #events: SagaEvent[] = [];
  #outputs: SagaOutput[] = [];
  #messages: Outgoing[] = [];

  /** @param until its deadline, by the monotonic clock, in milliseconds */
  constructor(
    private readonly dependencies: TransitionDependencies,
    private readonly definition: SagaDefinition,
    private readonly transaction: OpenTransaction<unknown>,
    { instance, nowMs, subject }: WorkSaga,
    private readonly until: number,
  ) {
    this.#before = instance;
    this.instance = instance;
    this.#nowMs = nowMs;
    this.#subject = subject;
  }

  get outputs(): readonly SagaOutput[] {
    return this.#outputs;
  }

  /** For the timeline. */
  get record(): TransitionRecord {
    return { nowMs: this.#nowMs, events: this.#events, outputs: this.#outputs };
  }

  /** Does what an event requires, and what follows from that. */
  async carry(event: SagaEvent): Promise<void> {
    await this.#take(event, this.advanced(event));
    // What a later event of this transition has made void is not sent.
    const isWanted = (output: SagaOutput | undefined): boolean =>
      output === undefined || !isWithdrawn(this.instance, output);
    this.#messages = this.#messages.filter(({ output }) => isWanted(output));
    this.#outputs = this.#outputs.filter(isWanted);
  }

  /** Applies an event to the machine. */
  advanced(event: SagaEvent): Transition {
    return nextTransition(this.definition, this.instance, event, this.#nowMs);
  }

  async #take(event: SagaEvent, { instance, outputs }: Transition): Promise<void> {
    this.instance = instance;
    this.#events.push(event);
    for (const output of outputs) {
      if (isVoid(this.instance, output)) continue;
      this.#outputs.push(output);
      const reply = await this.#do(output);
      if (reply !== undefined) await this.#take(reply, this.advanced(reply));
    }
  }

  /** @returns the event that the saga gets as a result */
  async #do(output: SagaOutput): Promise<SagaEvent | undefined> {
    switch (output.type) {
      case 'command':
        return output.url === undefined
          ? this.#send(output)
          : this.dependencies.calls.check(this.#calling, output);
      case 'reminder':
      case 'release':
        return this.#send(output);
      case 'local':
        return this.#local(output);
      case 'child':
        return this.#child(output);
      case 'undo-child':
        return this.#undoChild(output.step);
      case 'await-event':
        return this.dependencies.waits.await(
          this.transaction.session,
          this.instance.id,
          this.definition.type,
          output,
        );
      case 'forget-event':
        return this.dependencies.waits.forget(this.transaction.session, this.instance.id, output.step);
      case 'unawaited': {
        const { kind, name, payload, why } = output;
        const kept = { sagaId: this.instance.id, kind, name, payload, why };
        return this.dependencies.ignored.keep(this.transaction.session, kept, this.#subject);
      }
      case 'refuse-undo':
      case 'ignored':
        return undefined;
    }
  }

  /** A message that cannot be sent leaves its step to an operator. */
  async #send(
    output: Extract<SagaOutput, { type: 'command' | 'reminder' | 'release' }>,
  ): Promise<SagaEvent | undefined> {
    const { session } = this.transaction;
    const saga = { definition: this.definition, instance: this.instance, subject: this.#subject };
    try {
      const message =
        output.type === 'command'
          ? await commandMessage(session, this.dependencies, saga, output)
          : output.type === 'reminder'
            ? reminderMessage(this.dependencies, saga, output)
            : releaseMessage(this.dependencies, saga, output);
      if (message !== undefined) this.#messages.push({ output, message });
      return undefined;
    } catch (error) {
      if (!isWaybillError(error) || error.retryable) throw error;
      return { type: 'unsendable', step: output.step, error: describeError(error) };
    }
  }

  #local({ step: name, undo, attempt }: Extract<SagaOutput, { type: 'local' }>): Promise<SagaEvent> {
    const { definition, instance, transaction, until } = this;
    const step = stepOf(definition, instance, name);
    return this.dependencies.locals.run({ definition, step, instance, undo, attempt, transaction, until });
  }

  /** A child that cannot be started leaves its step to an operator: it is rolled back. */
  async #child(output: Extract<SagaOutput, { type: 'child' }>): Promise<SagaEvent | undefined> {
    const { step, childType, childVersion, key, data } = output;
    const { session } = this.transaction;
    const start = { key, data, parent: { id: this.instance.id, step }, subject: this.#subject };
    await session.run(savepoint.set);
    try {
      const definition = this.dependencies.definitions.get(childType, childVersion);
      const { created } = await this.dependencies.start(this.transaction, definition, start);
      await session.run(savepoint.release);
      if (created) return undefined;
      return { type: 'unsendable', step, error: `a saga ${childType} with key ${key} exists already` };
    } catch (error) {
      if (error instanceof HandlerAbandonedError || isConnectionLoss(error)) throw error;
      await session.run(savepoint.goBack);
      // Another process of the service has it and has to start it.
      const isElsewhere =
        error instanceof SagaVersionUnknownError &&
        (await this.dependencies.registered.isKnown(session, childType, childVersion));
      if (isElsewhere) throw error;
      await session.run(savepoint.release);
      return { type: 'unsendable', step, error: describeError(error) };
    }
  }

  /** Children get a message: two sagas that lock each other in one transaction could deadlock. */
  async #undoChild(step: string): Promise<SagaEvent | undefined> {
    const { id, data } = this.instance;
    const [child] = await this.transaction.session.run(findChild, id, step);
    // It was never started.
    if (child === undefined) return { type: 'child', step, state: 'COMPENSATED', data, pivot: false };
    await this.#tell(child.id, { type: 'undo', reason: `its parent ${id} is compensated` });
    return undefined;
  }

  /** Notifies the parent: that a pivot was passed, of the end, that it will not be undone. */
  async tellParent({ id, step }: SagaParent): Promise<void> {
    const { state, data } = this.instance;
    const pivot = hasPassedPivot(this.definition, this.instance);
    const refused = this.#outputs.some(({ type }) => type === 'refuse-undo');
    const hasEnded = isEnd(state) && state !== this.#before.state;
    if (!refused && !hasEnded && (!pivot || hasPassedPivot(this.definition, this.#before))) return;
    await this.#tell(id, { type: 'child', step, state, data, pivot, ...(refused && { refused }) });
  }

  /** Sends an event to another saga of this service through the log. */
  async #tell(id: string, event: WireEvent): Promise<void> {
    const { outbox, keys } = this.dependencies;
    const dependencies = { outbox, keys, subject: this.#subject ?? null };
    const message = await eventMessage(this.transaction.session, dependencies, id, event);
    this.#messages.push({ output: undefined, message });
  }

  /** Sends the messages; the saga's row exists now. */
  async publish(): Promise<void> {
    const messages = this.#messages.map(({ message }) => message);
    if (messages.length > 0)
      await this.dependencies.outbox.publishEncoded(this.transaction.session, messages);
    await this.dependencies.calls.save(this.#calling);
  }

  get #calling(): CallingTransition {
    const { definition, transaction, instance } = this;
    const [before, outputs, subject] = [this.#before, this.#outputs, this.#subject];
    return { definition, transaction, before, instance, outputs, subject };
  }
}
