import { performance } from 'node:perf_hooks';
import { Bell, type Logger, newId, type OpenTransaction } from '@waybill/kernel';
import type { Sealer } from '@waybill/log';
import type { Outbox } from '@waybill/outbox';
import { fingerprintOf } from '../definition/fingerprint.js';
import type { SagaDefinition } from '../definition/saga-definition.js';
import type { SagaDefinitions } from '../definition/saga-definitions.js';
import { newInstance } from '../machine/next-transition.js';
import { dataOf } from '../machine/saga-data.js';
import { assertData, assertName } from '../machine/saga-input.js';
import type { SagaEvent, SagaOutput } from '../machine/saga-event.js';
import type { SagaState } from '../machine/saga-instance.js';
import { SagaAttributes } from './saga-attributes.js';
import { EventWaits } from './event-waits.js';
import { IgnoredEvents } from './ignored-events.js';
import { LocalSteps } from './local-steps.js';
import { SagaCalls } from './saga-calls.js';
import { SagaContents } from './saga-contents.js';
import { RegisteredDefinitions } from './registered-definitions.js';
import { replyTopicOf } from '../message/saga-headers.js';
import { SagaKeys } from '../message/saga-keys.js';
import type { OperatorOrder } from './operator-order.js';
import { reportIgnored, reportState } from './saga-report.js';
import { insertSaga, isSame, lockSaga, type NewSaga, saveTransition, type StoredSaga } from './saga-store.js';
import { noSagaTrace, type SagaTrace } from './saga-trace.js';
import { type TransitionDependencies, TransitionWork } from './transition-work.js';

const KEY_MAX_AGE_MS = 30 * 86_400_000;
const TRANSITION_MS = 30_000;
/** Share of a transition's time for local actions; the rest is for writing their results. */
const LOCAL_PART = 0.8;

/** What a {@link SagaEngine} works with. */
export interface SagaEngineDependencies {
  readonly definitions: SagaDefinitions;
  readonly outbox: Outbox;
  /** The service; the reply topic of its sagas is named after it. */
  readonly group: string;
  readonly logger: Logger;
  /** Rotation interval of its signing key, in milliseconds. Default 30 days. */
  readonly keyMaxAgeMs?: number;
  /** Time limit of a transition with its local actions, in milliseconds. Default 30,000. */
  readonly transitionMs?: number;
  /** Encrypts sagas. Default: no encryption. */
  readonly sealer?: Sealer | undefined;
  /** Traces transitions. Default: none. */
  readonly trace?: SagaTrace;
}

/** The effect of an event on a saga. */
export interface Applied {
  readonly applied: boolean;
  /** Why it changed nothing. */
  readonly why: string | undefined;
}

/** Receives the state after a transition. */
type Reached = (state: SagaState) => void;

/** A started saga. */
interface Begun {
  readonly id: string;
  readonly created: boolean;
}

/**
 * Runs transitions: reads a saga under its lock, asks the machine what follows, and writes the saga, its step log and
 * its commands in the caller's transaction. A crash at any point leaves a transition either done or not begun.
 */
export class SagaEngine {
  /** The reply topic of this service's sagas. */
  readonly replyTopic: string;
  /** The keys that authenticate its own commands and events. */
  readonly keys: SagaKeys;
  /** Where sagas are stored. */
  readonly contents: SagaContents;
  /** The definitions of this process and of others of the service. */
  readonly registered: RegisteredDefinitions;
  /** The HTTP calls that its transitions request. */
  readonly calls: SagaCalls;
  /** Events of other services that sagas wait for. */
  readonly waits: EventWaits;
  /** What reached its sagas and changed nothing. */
  readonly ignored: IgnoredEvents;
  /** Rung when a saga starts or goes on in this process; the transaction may still be open. */
  readonly stir = new Bell();
  readonly #attributes: SagaAttributes;
  readonly #trace: SagaTrace;
  readonly #work: TransitionDependencies;

  constructor(private readonly dependencies: SagaEngineDependencies) {
    const { definitions, outbox, group } = dependencies;
    this.replyTopic = replyTopicOf(group);
    this.keys = new SagaKeys(this.replyTopic, dependencies.keyMaxAgeMs ?? KEY_MAX_AGE_MS);
    this.contents = new SagaContents(dependencies.sealer);
    this.registered = new RegisteredDefinitions(this.replyTopic, group, definitions);
    this.calls = new SagaCalls(this.replyTopic, this.contents);
    this.waits = new EventWaits(this.replyTopic, this.contents);
    this.ignored = new IgnoredEvents(this.replyTopic, this.contents);
    this.#attributes = new SagaAttributes(this.replyTopic, dependencies.logger);
    this.#trace = dependencies.trace ?? noSagaTrace;
    this.#work = {
      definitions,
      registered: this.registered,
      outbox,
      calls: this.calls,
      keys: this.keys,
      locals: new LocalSteps(),
      waits: this.waits,
      ignored: this.ignored,
      start: (transaction, definition, start) => this.start(transaction, definition, start),
    };
  }

  get outbox(): Outbox {
    return this.dependencies.outbox;
  }

  get group(): string {
    return this.dependencies.group;
  }

  get definitions(): SagaDefinitions {
    return this.dependencies.definitions;
  }

  /** The keys of the service with that reply topic: this one, or another in the same database. */
  keysOf(replyTopic: string): SagaKeys {
    return replyTopic === this.replyTopic ? this.keys : new SagaKeys(replyTopic, this.keys.maxAgeMs);
  }

  /**
   * Starts a saga in `transaction`, or finds the one of the same type and key, running or ended.
   * @throws SagaInputError, PayloadNotSerializableError, SagaNotRegisteredError
   */
  async start(
    transaction: OpenTransaction<unknown>,
    definition: SagaDefinition,
    start: NewSaga,
  ): Promise<Begun> {
    assertName(start.key, `The key of a saga ${definition.type}`);
    assertData(start.data, `The data of saga ${definition.type} ${start.key}`);
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
  ): Promise<Begun> {
    const { session } = transaction;
    const { type, version } = definition;
    await this.registered.assertStartable(session, definition);
    const fingerprint = fingerprintOf(definition);
    const startedIn = this.#trace.current();
    const instance = newInstance(definition, { id, key, data: dataOf(definition, id, data), deadlineMs });
    const event: SagaEvent = { type: 'start', data: instance.data, deadlineMs };
    const work = this.#begin(definition, transaction, { instance, nowMs: 0, subject });
    // Without local actions it is written once, in its state after the first commands.
    const isQuiet = canBeQuiet(definition) && work.advanced(event).outputs.every(isCommand);
    if (isQuiet) await work.carry(event);
    const isBegun = isQuiet && work.instance.state === 'RUNNING' && work.outputs.every(isCommand);
    const begun = isBegun ? work.instance : instance;
    const record = isBegun ? work.record : { nowMs: 0, events: [], outputs: [] };
    // A saga that is written again at once reports it in that transition.
    const foundBy = isBegun ? this.#attributes.of(definition, begun, undefined) : undefined;
    const attributes = foundBy?.mark;
    const saga = { type, version, parent, fingerprint, startedIn, subject, attributes };
    const toStart = { ...saga, instance: begun, replyTopic: this.replyTopic, record };
    const { startedAtMs, ...found } = await insertSaga(session, this.contents, toStart);
    if (!found.created) return found;
    if (foundBy !== undefined) {
      await this.#attributes.save(session, id, foundBy);
      await work.publish();
      reached(begun.state);
    } else {
      const before = { ...saga, revision: 1, instance: { ...instance, startedAtMs }, nowMs: 0 };
      await this.#carry(before, definition, transaction, event, undefined, reached);
    }
    return found;
  }

  /**
   * Applies an event to a saga in `transaction`. An event for a saga that has ended is stored for operators.
   * @throws SagaVersionUnknownError, SagaDefinitionChangedError
   */
  async tell(transaction: OpenTransaction<unknown>, id: string, event: SagaEvent): Promise<Applied> {
    const { session } = transaction;
    const stored = await lockSaga(session, this.contents, id);
    if (stored !== undefined) return this.carry(transaction, stored, event);
    const why = 'the saga has ended';
    await this.ignored.keepLate(session, id, event, why);
    return { applied: false, why };
  }

  /**
   * Carries out an operator's order, in `transaction`, while the saga is as the operator saw it.
   * @returns why it was refused; undefined when it was carried out
   * @throws SagaVersionUnknownError, SagaDefinitionChangedError
   */
  async order(transaction: OpenTransaction<unknown>, order: OperatorOrder): Promise<string | undefined> {
    const stored = await lockSaga(transaction.session, this.contents, order.sagaId);
    if (stored === undefined) return 'it has ended';
    if (order.revision !== stored.revision)
      return `it is at revision ${stored.revision} now, not at ${order.revision}`;
    const { applied, why } = await this.carry(transaction, stored, order.event, order.by);
    return applied ? undefined : why;
  }

  /** Like {@link tell}, for a saga that is already locked. */
  async carry(
    transaction: OpenTransaction<unknown>,
    stored: StoredSaga,
    event: SagaEvent,
    by?: string,
  ): Promise<Applied> {
    const { type, version, startedIn, instance } = stored;
    const definition = this.dependencies.definitions.get(type, version);
    await this.registered.assertFits(transaction.session, stored, definition);
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
    const { session } = transaction;
    const work = this.#begin(definition, transaction, stored);
    await work.carry(event);
    const { instance, outputs } = work;
    reached(instance.state);
    if (outputs.every(({ type }) => type === 'ignored') && isSame(stored.instance, instance)) {
      const why = whyIgnored(outputs);
      reportIgnored(this.dependencies.logger, instance, why, event);
      // The order itself informs the operator.
      if (by === undefined) await this.ignored.keepRefused(session, instance.id, event, why, stored.subject);
      return { applied: false, why };
    }
    if (stored.parent !== null) await work.tellParent(stored.parent);
    const record = { ...work.record, ...(by === undefined ? {} : { by }) };
    const exactly = event.type === 'due';
    const foundBy = this.#attributes.of(definition, instance, stored.attributes);
    const before = { ...stored, attributes: foundBy.mark };
    await saveTransition(session, this.contents, before, instance, record, exactly);
    await this.#attributes.save(session, instance.id, foundBy);
    await work.publish();
    reportState(this.dependencies.logger, definition.type, stored.instance, instance);
    return { applied: true, why: undefined };
  }

  #begin(
    definition: SagaDefinition,
    transaction: OpenTransaction<unknown>,
    saga: Pick<StoredSaga, 'instance' | 'nowMs' | 'subject'>,
  ): TransitionWork {
    this.stir.ring();
    const until = performance.now() + (this.dependencies.transitionMs ?? TRANSITION_MS) * LOCAL_PART;
    return new TransitionWork(this.#work, definition, transaction, saga, until);
  }
}

/** Whether its first write may follow its first transition. Not when a time of the database is needed. */
function canBeQuiet({ steps }: SagaDefinition): boolean {
  return steps.every(({ forward }) => forward.kind !== 'sleep');
}

function isCommand({ type }: SagaOutput): boolean {
  return type === 'command';
}

function whyIgnored(outputs: readonly SagaOutput[]): string {
  const reasons = outputs.flatMap((output) => (output.type === 'ignored' ? output.why : []));
  return reasons.length === 0 ? 'it changes nothing' : reasons.join('; ');
}
