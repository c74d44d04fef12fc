import { describeError } from '@waybill/kernel';
import { dictionary, own } from '@waybill/kernel/internal';
import type {
  CommandAction,
  SagaData,
  SagaDefinition,
  StepDefinition,
} from '../definition/saga-definition.js';
import { isName } from './saga-input.js';
import { endStepOf, freeze, type InstanceSteps, stepsOf } from './items.js';
import type { SagaOutput } from './saga-event.js';
import {
  type FrozenItem,
  isEnd,
  type SagaInstance,
  type SagaState,
  type StepRecord,
  type StepStatus,
  type WaitingSignal,
} from './saga-instance.js';
import { END_STEP } from '../definition/names.js';

/** Statuses of steps that leave nothing to undo. */
export const CLEAN: ReadonlySet<StepStatus> = new Set<StepStatus>(['skipped', 'rejected', 'undone']);
const UNDO: ReadonlySet<StepStatus> = new Set<StepStatus>(['undoing', 'undo-waiting', 'undo-stuck']);
/** Statuses of an open step: an operator may decide about it. */
export const OPEN: ReadonlySet<StepStatus> = new Set<StepStatus>([
  'running',
  'waiting',
  'stuck',
  'undoing',
  'undo-waiting',
  'undo-stuck',
]);
/** Number of signal ids that are remembered. */
const MAX_SIGNAL_IDS = 1_000;

/** A transition in progress: a copy of the instance that is changed until no step can advance. */
export class TransitionDraft {
  readonly outputs: SagaOutput[] = [];
  direction: SagaInstance['direction'];
  deadlineMs: number | null;
  cancelled: boolean;
  cause: string | null;
  data: SagaData;
  #items: SagaInstance['items'];
  readonly #records: Record<string, StepRecord>;
  readonly #signals: Record<string, readonly WaitingSignal[]>;
  #signalIds: readonly string[];
  /** The step that runs `onEnd`, if defined. */
  readonly endStep: StepDefinition | undefined;

  constructor(
    readonly definition: SagaDefinition,
    readonly before: SagaInstance,
    readonly nowMs: number,
  ) {
    this.direction = before.direction;
    this.deadlineMs = before.deadlineMs;
    this.cancelled = before.cancelled;
    this.cause = before.cause;
    this.data = before.data;
    this.#items = before.items;
    this.#records = dictionary(before.steps);
    this.#signals = dictionary(before.signals);
    this.#signalIds = before.signalIds;
    this.endStep = endStepOf(definition);
  }

  instance(state: SagaState): SagaInstance {
    const { id, key, patches, startedAtMs } = this.before;
    const { direction, data, deadlineMs, cancelled, cause } = this;
    return {
      id,
      key,
      state,
      direction,
      data,
      steps: this.#records,
      signals: this.#signals,
      signalIds: this.#signalIds,
      items: this.#items,
      deadlineMs,
      cancelled,
      reason: state === 'STUCK' ? this.#stuckReason() : cause,
      cause,
      patches,
      startedAtMs,
    };
  }

  #stuckReason(): string | null {
    const stuck = Object.entries(this.#records).find(
      ([, { status }]) => status === 'stuck' || status === 'undo-stuck',
    );
    return stuck === undefined ? this.cause : `${stuck[0]}: ${stuck[1].reason ?? 'it needs an operator'}`;
  }

  // Steps

  get steps(): readonly StepDefinition[] {
    return this.#own().steps;
  }

  /** For each step, by index, the steps that directly follow it. */
  get next(): InstanceSteps['next'] {
    return this.#own().next;
  }

  #own(): InstanceSteps {
    return stepsOf(this.definition, { items: this.#items, patches: this.before.patches });
  }

  find(name: string): StepDefinition | undefined {
    if (name === END_STEP && this.endStep !== undefined) return this.endStep;
    return this.steps.find((step) => step.name === name);
  }

  step(name: string): StepDefinition {
    const step = this.find(name);
    if (step === undefined) throw new RangeError(`saga ${this.definition.type} has no step ${name}`);
    return step;
  }

  peek(step: StepDefinition): StepRecord | undefined {
    return this.#records[step.name];
  }

  record(step: StepDefinition): StepRecord {
    return this.peek(step) ?? { status: 'running', attempt: 0, forgiven: 0, dueMs: null };
  }

  put(step: StepDefinition, change: Partial<StepRecord>): void {
    this.#records[step.name] = { ...this.record(step), ...change };
  }

  /** Ends a step: nothing of it is due any more. @param reason why it was not done, or not by itself */
  end(step: StepDefinition, status: StepStatus, reason?: string): void {
    const { unused: _, remind: __, reason: ___, ...record } = this.record(step);
    if (step.forward.kind === 'event' && record.status === 'running')
      this.outputs.push({ type: 'forget-event', step: step.name });
    this.#records[step.name] = { ...record, status, dueMs: null, ...(reason !== undefined && { reason }) };
  }

  remove(step: StepDefinition): void {
    delete this.#records[step.name];
  }

  statuses(): StepStatus[] {
    return Object.values(this.#records).map(({ status }) => status);
  }

  isIn(step: StepDefinition, statuses: ReadonlySet<StepStatus>): boolean {
    const status = this.peek(step)?.status;
    return status !== undefined && statuses.has(status);
  }

  isRunning(step: StepDefinition): boolean {
    return this.peek(step)?.status === 'running';
  }

  isOpen(step: StepDefinition): boolean {
    return this.isIn(step, OPEN);
  }

  isUndo(step: StepDefinition): boolean {
    return UNDO.has(this.record(step).status);
  }

  /** How many steps of each list are running. */
  openInLanes(): Map<string, number> {
    const open = new Map<string, number>();
    for (const step of this.steps)
      if (step.lane !== undefined && this.isOpen(step))
        open.set(step.lane.of, (open.get(step.lane.of) ?? 0) + 1);
    return open;
  }

  hasCapacity({ lane }: StepDefinition, open: ReadonlyMap<string, number>): boolean {
    return lane === undefined || (open.get(lane.of) ?? 0) < lane.concurrency;
  }

  // Data

  add(data: object | undefined): void {
    if (data !== undefined) this.data = { ...this.data, ...data };
  }

  ignore(why: string): void {
    this.outputs.push({ type: 'ignored', why });
  }

  /** Whether the saga can compensate: no pivot is done, here or in a child, or is running without a compensation. */
  mayCompensate(): boolean {
    return this.direction === 'forward' && !this.steps.some((step) => this.#barsTheWay(step));
  }

  #barsTheWay(step: StepDefinition): boolean {
    const { status, pivot = false } = this.peek(step) ?? {};
    if (status === undefined || CLEAN.has(status)) return false;
    if (pivot) return true;
    if (!step.pivot) return false;
    return status === 'done' || (step.undo === undefined && step.forward.kind === 'command');
  }

  /** Whether a pivot has been passed: here, or in a child. */
  hasPassedPivot(): boolean {
    return this.steps.some((step) => {
      const { status, pivot = false } = this.peek(step) ?? {};
      return (pivot && status !== undefined && !CLEAN.has(status)) || (step.pivot && status === 'done');
    });
  }

  // Both ways

  /** Leaves a step to an operator. */
  stick(step: StepDefinition, reason: string): void {
    const { remind: _, ...record } = this.record(step);
    const status = this.isUndo(step) ? 'undo-stuck' : 'stuck';
    this.#records[step.name] = { ...record, status, dueMs: null, reason };
  }

  /**
   * Starts the next attempt of a step, or of its compensation.
   * @param again whether an operator ordered it in spite of a rejection
   */
  attempt(step: StepDefinition, again = false): void {
    const undo = this.isUndo(step);
    const { attempt: last, begunMs = this.nowMs, reason: _, ...record } = this.record(step);
    const action = undo ? step.undo : step.forward;
    const status = undo ? 'undoing' : 'running';
    const attempt = last + 1;
    this.#records[step.name] = { ...record, status, attempt, begunMs, dueMs: null };
    switch (action?.kind) {
      case 'command':
        return this.#send(step, action, attempt, again);
      case 'local':
        this.outputs.push({ type: 'local', step: step.name, undo, attempt });
        return;
      case 'signal':
      case 'event':
        return this.#await(step);
      case 'sleep':
        return this.#sleep(step);
      case 'each':
        return this.#takeItems(step);
      case 'child':
      case undefined:
        if (undo) this.outputs.push({ type: 'undo-child', step: step.name });
        else this.#startChild(step, attempt);
    }
  }

  #send(step: StepDefinition, action: CommandAction, attempt: number, again: boolean): void {
    let payload: unknown;
    try {
      payload = action.request(this.data);
    } catch (error) {
      // It was not sent, so it does not count as an attempt.
      this.put(step, { attempt: attempt - 1 });
      return this.stick(step, `its command cannot be made: ${describeError(error)}`);
    }
    this.put(step, { dueMs: this.nowMs + action.policy.timeoutMs });
    const { op } = action;
    const { topic, url } = action.command;
    const to = { topic, ...(url !== undefined && { url }) };
    this.outputs.push({ type: 'command', step: step.name, op, attempt, ...to, payload, again });
  }

  #await(step: StepDefinition): void {
    const { forward } = step;
    if (forward.kind !== 'signal' && forward.kind !== 'event') return;
    const { timeoutMs, remind } = forward;
    this.put(step, {
      dueMs: timeoutMs === null ? null : this.nowMs + timeoutMs,
      ...(remind && { remind: { dueMs: this.nowMs + remind.everyMs, sent: 0 } }),
    });
    if (forward.kind === 'signal') return;
    try {
      const match: unknown = forward.match(this.data);
      if (!isName(match))
        throw new TypeError('match must return a string of 1 to 255 characters, without NUL');
      this.outputs.push({ type: 'await-event', step: step.name, topic: forward.topic, match });
    } catch (error) {
      this.stick(step, `its match value is not known: ${describeError(error)}`);
    }
  }

  #sleep(step: StepDefinition): void {
    if (step.forward.kind !== 'sleep') return;
    try {
      const until = step.forward.until(this.data);
      const ms = typeof until === 'number' ? this.nowMs + until : this.#sinceStart(until);
      if (!Number.isFinite(ms)) throw new TypeError('it must be milliseconds or an instant');
      this.put(step, { dueMs: Math.max(this.nowMs, Math.ceil(ms)) });
    } catch (error) {
      this.stick(step, `its sleeping time is not known: ${describeError(error)}`);
    }
  }

  #sinceStart(instant: string | Date): number {
    return new Date(instant).getTime() - this.before.startedAtMs;
  }

  #takeItems(step: StepDefinition): void {
    if (step.forward.kind !== 'each') return;
    let list: FrozenItem[];
    try {
      list = freeze(step.forward, this.data);
    } catch (error) {
      return this.stick(step, `its items are not usable: ${describeError(error)}`);
    }
    const items = dictionary(this.#items as Record<string, readonly FrozenItem[]>);
    items[step.name] = list;
    this.#items = items;
    this.end(step, 'done');
  }

  #startChild(step: StepDefinition, attempt: number): void {
    if (step.forward.kind !== 'child') return;
    try {
      const { key, data } = step.forward.start(this.data);
      const { type: childType, version: childVersion } = step.forward;
      this.outputs.push({ type: 'child', step: step.name, attempt, childType, childVersion, key, data });
    } catch (error) {
      this.stick(step, `its child cannot be started: ${describeError(error)}`);
    }
  }

  // Signals

  /** Takes a signal that arrived before its step; undefined when there is none. */
  takeSignal(name: string): WaitingSignal | undefined {
    const [first, ...others] = own(this.#signals, name) ?? [];
    if (others.length > 0) this.#signals[name] = others;
    else delete this.#signals[name];
    return first;
  }

  keepSignal(name: string, signal: WaitingSignal): void {
    this.#signals[name] = [...(own(this.#signals, name) ?? []), signal];
  }

  /** @returns whether one with that id has arrived already */
  hasSeen(id: string): boolean {
    if (this.#signalIds.includes(id)) return true;
    this.#signalIds = [...this.#signalIds, id].slice(-MAX_SIGNAL_IDS);
    return false;
  }

  /** At the end of a saga: stores signals that nothing waited for, and releases what participants hold. */
  leave(state: SagaState): void {
    if (isEnd(this.before.state)) return;
    for (const [name, waiting] of Object.entries(this.#signals))
      for (const { payload } of waiting)
        this.outputs.push({ type: 'unawaited', kind: 'signal', name, payload, why: `the saga is ${state}` });
    for (const name of Object.keys(this.#signals)) delete this.#signals[name];
    for (const [step, { holds = false }] of Object.entries(this.#records))
      if (holds) this.outputs.push({ type: 'release', step });
  }
}
