import type { SagaData, SagaDefinition, StepDefinition } from '../src/definition/saga-definition.js';
import { nextTransition, hasPassedPivot, newInstance } from '../src/machine/next-transition.js';
import { stepsOf } from '../src/machine/items.js';
import type { SagaEvent, SagaOutput } from '../src/machine/saga-event.js';
import { isEnd, type SagaInstance } from '../src/machine/saga-instance.js';
import { isVoid, isWithdrawn } from '../src/machine/void-output.js';
import { type RecordedSaga, type SagaDifference, verifySaga } from '../src/operator/verify-saga.js';

/** A pseudo-random generator, deterministic for a seed (mulberry32, T. Ettinger). */
export function chance(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

type Command = Extract<SagaOutput, { readonly type: 'command' }>;

/** Messages in flight to a saga or from it to a participant, in no order. */
type Parcel = { readonly saga: ModelSaga } & ({ readonly command: Command } | { readonly event: SagaEvent });

/** How participants and local actions behave. Probabilities from 0 to 1. */
export interface Manners {
  readonly reject: number;
  /** The command fails in this attempt, and the saga is notified. */
  readonly fail: number;
  /** The command is done, or not, without a reply. */
  readonly silence: number;
  readonly duplicate: number;
  /** Compensations fail as often as actions do. */
  readonly undoFails: boolean;
}

/** What has happened at a participant under one operation of one branch. */
type Deed = 'done' | 'rejected' | 'barred';

/**
 * A saga and its children among participants with barriers, and a network that loses no message but duplicates, delays
 * and reorders them: the model against which the machine is tested.
 */
export class SagaWorld {
  nowMs = 0;
  readonly root: ModelSaga;
  readonly sagas: ModelSaga[] = [];
  /** Signals that nothing waited for. */
  readonly unawaited: unknown[] = [];
  readonly #parcels: Parcel[] = [];

  constructor(
    definition: SagaDefinition,
    data: SagaData,
    readonly manners: Manners,
    readonly random: () => number,
    private readonly definitions: readonly SagaDefinition[] = [],
  ) {
    this.root = this.begin(definition, 'saga', data, undefined);
  }

  get instance(): SagaInstance {
    return this.root.instance;
  }

  get definition(): SagaDefinition {
    return this.root.definition;
  }

  /** Each effect of the root that took place, in order: `reserve/action`. */
  get effects(): readonly string[] {
    return this.root.effects;
  }

  get ended(): boolean {
    return this.#parcels.length === 0 && this.sagas.every(({ instance: { state } }) => isEnd(state));
  }

  begin(definition: SagaDefinition, id: string, data: SagaData, parent: Parent | undefined): ModelSaga {
    const saga = new ModelSaga(this, definition, id, data, parent);
    this.sagas.push(saga);
    saga.tell({ type: 'start', data, deadlineMs: definition.deadlineMs });
    return saga;
  }

  definitionOf(type: string): SagaDefinition {
    return this.definitions.find((definition) => definition.type === type) as SagaDefinition;
  }

  send(parcel: Parcel): void {
    this.#parcels.push(parcel);
  }

  tell(event: SagaEvent): void {
    this.root.tell(event);
  }

  /** One event: a message arrives, or time passes. */
  move(): void {
    const isPatient = this.#parcels.length > 0 && this.random() < 0.9;
    if (!isPatient) return this.#wait();
    const at = Math.floor(this.random() * this.#parcels.length);
    const parcel = this.#parcels[at] as Parcel;
    if (this.random() >= this.manners.duplicate) this.#parcels.splice(at, 1);
    this.#deliver(parcel);
  }

  /** Delivers all messages in flight, as a log eventually does. */
  drain(): void {
    for (let parcel = this.#parcels.shift(); parcel !== undefined; parcel = this.#parcels.shift())
      this.#deliver(parcel);
  }

  #deliver(parcel: Parcel): void {
    if ('event' in parcel) parcel.saga.tell(parcel.event);
    else parcel.saga.serve(parcel.command);
  }

  #wait(): void {
    const due = this.sagas.flatMap((saga) => saga.dueMs() ?? []);
    if (due.length === 0) return;
    this.nowMs = Math.max(this.nowMs, Math.min(...due));
    for (const saga of this.sagas) if ((saga.dueMs() ?? Infinity) <= this.nowMs) saga.tell({ type: 'due' });
  }
}

interface Parent {
  readonly saga: ModelSaga;
  readonly step: string;
}

/** One saga of the world, run in the same way as by the engine. */
export class ModelSaga {
  instance: SagaInstance;
  readonly deeds = new Map<string, Deed>();
  readonly effects: string[] = [];
  /**
   * Whether it knew before the current transition that it had passed a pivot, and no operator has started compensation.
   */
  hasPassedPivot = false;
  /** Commands sent after the compensation of their branch, or compensations after the pivot. */
  readonly sentLate: string[] = [];
  /** Maximum number of steps of a list that ran at once. */
  mostAtOnce = 0;
  readonly #undone = new Set<string>();
  readonly #startedMs: number;
  readonly #timeline: {
    revision: number;
    nowMs: number;
    events: SagaEvent[];
    outputs: SagaOutput[];
  }[] = [];

  constructor(
    private readonly world: SagaWorld,
    readonly definition: SagaDefinition,
    readonly id: string,
    data: SagaData,
    private readonly parent: Parent | undefined,
  ) {
    this.#startedMs = world.nowMs;
    this.instance = newInstance(definition, { id, key: id, data });
  }

  /** The steps that it has so far. */
  get steps(): readonly StepDefinition[] {
    return stepsOf(this.definition, this.instance).steps;
  }

  dueMs(): number | undefined {
    const { steps, deadlineMs, state } = this.instance;
    if (isEnd(state)) return undefined;
    const times = Object.values(steps).flatMap(({ dueMs }) => dueMs ?? []);
    if (deadlineMs !== null) times.push(deadlineMs);
    return times.length === 0 ? undefined : this.#startedMs + Math.min(...times);
  }

  tell(event: SagaEvent): void {
    const before = this.instance;
    const transition = { events: [] as SagaEvent[], outputs: [] as SagaOutput[] };
    const sends: { readonly output: SagaOutput; readonly send: () => void }[] = [];
    this.#take(event, transition, sends);
    const wanted = (output: SagaOutput): boolean => !isWithdrawn(this.instance, output);
    for (const { output, send } of sends) if (wanted(output)) send();
    const { events } = transition;
    const outputs = transition.outputs.filter(wanted);
    const nowMs = this.world.nowMs - this.#startedMs;
    this.#timeline.push({ revision: this.#timeline.length + 1, nowMs, events, outputs });
    this.hasPassedPivot ||= hasPassedPivot(this.definition, this.instance);
    this.#tellParent(before, outputs);
    const open = Object.entries(this.instance.steps).filter(
      ([name, { status }]) => name.endsWith(']') && /^(running|waiting|undoing)/.test(status),
    );
    this.mostAtOnce = Math.max(this.mostAtOnce, open.length);
  }

  /** Where it would behave differently when replayed from its record, which holds what JSON can hold. */
  difference(): SagaDifference | undefined {
    const { type, version } = this.definition;
    const record = { id: this.id, type, version, key: this.id, timeline: this.#timeline };
    return verifySaga(this.definition, JSON.parse(JSON.stringify(record)) as RecordedSaga);
  }

  #take(
    event: SagaEvent,
    transition: { readonly events: SagaEvent[]; readonly outputs: SagaOutput[] },
    sends: { readonly output: SagaOutput; readonly send: () => void }[],
  ): void {
    const nowMs = this.world.nowMs - this.#startedMs;
    const { instance, outputs } = nextTransition(this.definition, this.instance, event, nowMs);
    this.instance = instance;
    transition.events.push(event);
    for (const output of outputs) {
      if (isVoid(this.instance, output)) continue;
      transition.outputs.push(output);
      if (output.type === 'command') sends.push({ output, send: () => this.#send(output) });
      else if (output.type === 'unawaited') this.world.unawaited.push(output.payload);
      else if (output.type === 'local') this.#take(this.#local(output), transition, sends);
      else if (output.type === 'child') {
        const { step, childType, key, data } = output;
        this.world.begin(this.world.definitionOf(childType), `${this.id}/${key}`, data, { saga: this, step });
      } else if (output.type === 'undo-child') {
        const answer = this.#undoChild(output.step);
        if (answer !== undefined) this.#take(answer, transition, sends);
      }
    }
  }

  #undoChild(step: string): SagaEvent | undefined {
    const child = this.world.sagas.find(({ parent }) => parent?.saga === this && parent.step === step);
    if (child === undefined) return { type: 'child', step, state: 'COMPENSATED', data: {}, pivot: false };
    this.world.send({ saga: child, event: { type: 'undo', reason: 'its parent is compensated' } });
    return undefined;
  }

  #tellParent(before: SagaInstance, outputs: readonly SagaOutput[]): void {
    if (this.parent === undefined) return;
    const { state, data } = this.instance;
    const pivot = hasPassedPivot(this.definition, this.instance);
    const refused = outputs.some(({ type }) => type === 'refuse-undo');
    const hasEnded = isEnd(state) && state !== before.state;
    if (!refused && !hasEnded && (!pivot || hasPassedPivot(this.definition, before))) return;
    const { saga, step } = this.parent;
    this.world.send({
      saga,
      event: { type: 'child', step, state, data, pivot, ...(refused && { refused }) },
    });
  }

  #send(command: Command): void {
    const branch = this.#branchOf(command.step);
    if (this.hasPassedPivot && command.op === 'compensate') this.sentLate.push(`${branch} after the pivot`);
    if (command.op === 'compensate' || command.op === 'cancel') this.#undone.add(branch);
    else if (this.#undone.has(branch)) this.sentLate.push(`${branch}/${command.op}`);
    this.world.send({ saga: this, command });
  }

  #branchOf(name: string): string {
    return (this.steps.find((step) => step.name === name) as StepDefinition).branch;
  }

  #local({ step, undo, attempt }: Extract<SagaOutput, { type: 'local' }>): SagaEvent {
    const event = { type: 'local', step, undo, attempt } as const;
    const { manners, random } = this.world;
    const mood = random();
    const calm = undo && !manners.undoFails;
    if (!undo && mood < manners.reject) return { ...event, status: 'rejected', error: 'no' };
    if (!calm && mood < manners.reject + manners.fail)
      return { ...event, status: 'failed', error: 'trouble' };
    this.effects.push(`${step}/${undo ? 'compensate' : 'action'}`);
    return { ...event, status: 'done' };
  }

  /** A participant with its barrier, as in libs/guard. */
  serve(command: Command): void {
    const { step, op } = command;
    const origin = op === 'compensate' ? 'action' : op === 'cancel' ? 'try' : undefined;
    const branch = this.#branchOf(step);
    const name = `${branch}/${op}`;
    const { manners, random } = this.world;
    const mood = random();
    const { reject, fail, silence } = manners;
    const calm = origin !== undefined && !manners.undoFails;
    if (!calm && mood < fail) return this.#answer(command, 'failed');
    if (!calm && mood < fail + silence && random() < 0.5) return;
    if (command.again && this.deeds.get(name) === 'rejected') this.deeds.delete(name);
    if (this.deeds.get(name) !== undefined) return;
    if (origin !== undefined) {
      const originName = `${branch}/${origin}`;
      const first = this.deeds.get(originName);
      this.deeds.set(name, 'done');
      if (first === undefined || first === 'rejected') {
        if (first === undefined) this.deeds.set(originName, 'barred');
        return this.#answer(command, 'done');
      }
    } else if (mood < fail + silence + reject && op !== 'confirm') {
      this.deeds.set(name, 'rejected');
      return this.#answer(command, 'rejected');
    } else this.deeds.set(name, 'done');
    this.effects.push(name);
    // The reply is committed with the effect: it arrives, if late.
    this.#answer(command, 'done');
  }

  #answer({ step, op, attempt }: Command, status: 'done' | 'rejected' | 'failed'): void {
    const event = { type: 'reply', step, op, attempt, status, payload: { [step]: attempt } } as const;
    this.world.send({ saga: this, event });
  }
}
