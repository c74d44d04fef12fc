import { describeError, dictionary, plainJson } from '@waybill/kernel';
import type {
  CommandAction,
  LocalAction,
  SagaData,
  SagaDefinition,
  StepDefinition,
  StepPolicy,
} from '../definition/saga-definition.js';
import type { SagaOutput } from './saga-event.js';
import type { SagaInstance, SagaState, StepRecord, StepStatus } from './saga-instance.js';
import { SagaRejection } from './saga-rejection.js';
import { delayAfter } from '../definition/step-policy.js';

/** Steps that go no further forward. */
const BEHIND: ReadonlySet<StepStatus> = new Set<StepStatus>(['done', 'skipped']);
/** Steps that leave nothing to be undone. */
const CLEAN: ReadonlySet<StepStatus> = new Set<StepStatus>(['skipped', 'rejected', 'undone']);
const UNDO: ReadonlySet<StepStatus> = new Set<StepStatus>(['undoing', 'undo-waiting', 'undo-stuck']);
const OPEN: ReadonlySet<StepStatus> = new Set<StepStatus>([
  'running',
  'waiting',
  'stuck',
  'undoing',
  'undo-waiting',
  'undo-stuck',
]);

/** One transition of a saga at work: a copy of the instance that is changed until it is settled. */
export class SagaRun {
  readonly outputs: SagaOutput[] = [];
  direction: SagaInstance['direction'];
  deadlineMs: number | null;
  cancelled: boolean;
  #state: SagaState;
  #data: SagaData;
  #reason: string | null;
  readonly #steps: Record<string, StepRecord>;
  readonly #signals: Record<string, unknown>;

  constructor(
    readonly definition: SagaDefinition,
    private readonly before: SagaInstance,
    readonly nowMs: number,
  ) {
    this.direction = before.direction;
    this.deadlineMs = before.deadlineMs;
    this.cancelled = before.cancelled;
    this.#state = before.state;
    this.#data = before.data;
    this.#reason = before.reason;
    this.#steps = dictionary(before.steps);
    this.#signals = dictionary(before.signals);
  }

  instance(): SagaInstance {
    return {
      id: this.before.id,
      key: this.before.key,
      state: this.#state,
      direction: this.direction,
      data: this.#data,
      steps: this.#steps,
      signals: this.#signals,
      deadlineMs: this.deadlineMs,
      cancelled: this.cancelled,
      reason: this.#reason,
    };
  }

  find(name: string): StepDefinition | undefined {
    return this.definition.steps.find((step) => step.name === name);
  }

  step(name: string): StepDefinition {
    const step = this.find(name);
    if (step === undefined) throw new RangeError(`saga ${this.definition.type} has no step ${name}`);
    return step;
  }

  peek(step: StepDefinition): StepRecord | undefined {
    return this.#steps[step.name];
  }

  record(step: StepDefinition): StepRecord {
    return this.peek(step) ?? { status: 'running', attempt: 0, forgiven: 0, dueMs: null };
  }

  put(step: StepDefinition, change: Partial<StepRecord>): void {
    this.#steps[step.name] = { ...this.record(step), ...change };
  }

  add(data: object | undefined): void {
    if (data !== undefined) this.#data = { ...this.#data, ...data };
  }

  ignore(why: string): void {
    this.outputs.push({ type: 'ignored', why });
  }

  isRunning(step: StepDefinition): boolean {
    return this.peek(step)?.status === 'running';
  }

  isOpen(step: StepDefinition): boolean {
    const status = this.peek(step)?.status;
    return status !== undefined && OPEN.has(status);
  }

  isUndo(step: StepDefinition): boolean {
    return UNDO.has(this.record(step).status);
  }

  /** Whether there is a way back: the pivot is not done, and not under way without a compensation of its own. */
  mayCompensate(): boolean {
    if (this.direction === 'backward') return false;
    return !this.definition.steps.some((step) => {
      const status = step.pivot ? this.peek(step)?.status : undefined;
      if (status === undefined || status === 'rejected' || status === 'skipped') return false;
      return status === 'done' || (step.undo === undefined && step.forward.kind === 'command');
    });
  }

  // Forward

  forwardDone(step: StepDefinition, added: (data: SagaData) => object | undefined): void {
    const status = this.peek(step)?.status;
    const late = status === 'failed';
    if (status !== 'running' && status !== 'waiting' && status !== 'stuck' && !late)
      return this.ignore(`step ${step.name} is ${status ?? 'not begun'}`);
    try {
      this.add(asObject(added(this.#data)));
    } catch (error) {
      if (late) return this.ignore(`the answer of step ${step.name} came late, and is not usable`);
      if (!(error instanceof SagaRejection))
        return this.stick(step, `what came of step ${step.name} is not usable: ${describeError(error)}`);
      // It has happened, and the saga does not want what came of it: it is undone like the others.
      this.put(step, { status: 'done', dueMs: null });
      return this.#giveUp(step, `step ${step.name}: ${error.reason}`, false);
    }
    this.put(step, { status: 'done', dueMs: null });
  }
  forwardRejected(step: StepDefinition, reason: string): void {
    const status = this.peek(step)?.status;
    if (status === 'failed') return this.put(step, { status: 'rejected', dueMs: null });
    if (status !== 'running' && status !== 'waiting' && status !== 'stuck')
      return this.ignore(`step ${step.name} is ${status ?? 'not begun'}`);
    if (!this.mayCompensate() && !step.pivot) return this.stick(step, `rejected: ${reason}`);
    this.put(step, { status: 'rejected', dueMs: null });
    this.#giveUp(step, `step ${step.name} was rejected: ${reason}`, false);
  }

  /** An attempt has failed at the participant, which will not try it again by itself. */
  forwardFailed(step: StepDefinition, attempt: number, error: string): void {
    const record = this.peek(step);
    if (record?.status !== 'running' || record.attempt !== attempt)
      return this.ignore(`attempt ${attempt} of step ${step.name} is not under way`);
    const policy = policyOf(step.forward);
    if (attempt - record.forgiven >= policy.maxAttempts) return this.#spent(step, error);
    this.put(step, { status: 'waiting', dueMs: this.nowMs + delayAfter(policy, attempt - record.forgiven) });
  }

  forwardTimedOut(step: StepDefinition): void {
    const { forward } = step;
    const record = this.record(step);
    if (forward.kind === 'signal') {
      this.put(step, { status: forward.onTimeout === 'continue' ? 'done' : 'rejected', dueMs: null });
      if (forward.onTimeout === 'compensate')
        this.#giveUp(step, `nothing came for step ${step.name} in time`, false);
      return;
    }
    const policy = policyOf(forward);
    if (record.attempt - record.forgiven >= policy.maxAttempts) this.#spent(step, 'no answer in time');
    // It has waited already. The barrier sees to it that a second command does nothing twice.
    else this.attempt(step);
  }

  /** The attempts are spent. Whether a command has happened is not known; a local action surely has not. */
  #spent(step: StepDefinition, error: string): void {
    if (!this.mayCompensate()) return this.stick(step, error);
    this.put(step, { status: step.forward.kind === 'local' ? 'rejected' : 'failed', dueMs: null });
    this.#giveUp(step, `step ${step.name} was given up: ${error}`, true);
  }

  #giveUp(step: StepDefinition, reason: string, maybeDone: boolean): void {
    if (this.direction === 'backward') return;
    // The pivot that has surely not happened does not bar the way back.
    if (!this.mayCompensate() && (maybeDone || !step.pivot)) return this.stick(step, reason);
    this.compensate(reason);
  }

  ongoing(step: StepDefinition): void {
    const record = this.peek(step);
    if (record?.status === 'running' && step.forward.kind === 'command')
      this.put(step, { dueMs: this.nowMs + step.forward.policy.timeoutMs });
    else if (record?.status === 'undoing' && step.undo?.kind === 'command')
      this.put(step, { dueMs: this.nowMs + step.undo.policy.timeoutMs });
    else this.ignore(`step ${step.name} is not under way`);
  }

  receiveSignal(step: StepDefinition, payload: unknown): void {
    const { forward } = step;
    if (forward.kind === 'signal') this.forwardDone(step, (data) => forward.apply(payload, data));
  }

  keepSignal(name: string, payload: unknown): void {
    const known = this.definition.steps.some(
      ({ forward }) => forward.kind === 'signal' && forward.signal === name,
    );
    if (!known) return this.ignore(`nothing waits for signal ${name}`);
    if (this.direction === 'backward') return this.ignore('it is being compensated');
    this.#signals[name] = payload ?? null;
  }

  // Backward

  /** Turns round: what is under way may be done, and is undone like what is. */
  compensate(reason: string): void {
    this.direction = 'backward';
    this.#reason = reason;
    this.deadlineMs = null;
    for (const step of this.definition.steps) {
      const status = this.peek(step)?.status;
      if (status !== 'running' && status !== 'waiting' && status !== 'stuck') continue;
      // A local action that is not done has not happened; nor has a signal.
      const surelyNot = step.forward.kind === 'local' || step.forward.kind === 'signal';
      this.put(step, { status: surelyNot ? 'rejected' : 'failed', dueMs: null });
    }
  }

  undoDone(step: StepDefinition): void {
    const status = this.peek(step)?.status;
    if (status !== 'undoing' && status !== 'undo-waiting' && status !== 'undo-stuck')
      return this.ignore(`step ${step.name} is ${status ?? 'not begun'}`);
    this.put(step, { status: 'undone', dueMs: null });
  }

  undoRefused(step: StepDefinition, error: string): void {
    if (!this.isUndo(step)) return this.ignore(`step ${step.name} is not being undone`);
    this.stick(step, `its compensation was rejected: ${error}`);
  }

  undoFailed(step: StepDefinition, attempt: number, error: string): void {
    const record = this.peek(step);
    if (record?.status !== 'undoing' || record.attempt !== attempt)
      return this.ignore(`attempt ${attempt} of the compensation of ${step.name} is not under way`);
    const policy = policyOf(step.undo);
    if (attempt - record.forgiven >= policy.maxAttempts) return this.stick(step, error);
    this.put(step, {
      status: 'undo-waiting',
      dueMs: this.nowMs + delayAfter(policy, attempt - record.forgiven),
    });
  }

  undoTimedOut(step: StepDefinition): void {
    const record = this.record(step);
    if (record.attempt - record.forgiven >= policyOf(step.undo).maxAttempts)
      this.stick(step, 'its compensation did not answer in time');
    else this.attempt(step);
  }

  // Both ways

  /** Leaves a step to an operator. */
  stick(step: StepDefinition, reason: string): void {
    this.put(step, { status: this.isUndo(step) ? 'undo-stuck' : 'stuck', dueMs: null });
    this.#reason = `${step.name}: ${reason}`;
  }

  /** Lets attempts so far count for nothing. */
  forgive(step: StepDefinition): void {
    this.put(step, { forgiven: this.record(step).attempt });
  }

  /**
   * Makes the next attempt of a step, or of its compensation.
   * @param again whether an operator wants it in spite of a rejection
   */
  attempt(step: StepDefinition, again = false): void {
    const undo = this.isUndo(step);
    const attempt = this.record(step).attempt + 1;
    const action = undo ? step.undo : step.forward;
    const status = undo ? 'undoing' : 'running';
    this.put(step, { status, attempt, dueMs: null });
    if (action?.kind === 'command') this.#send(step, action, attempt, again);
    else if (action?.kind === 'local') this.outputs.push({ type: 'local', step: step.name, undo, attempt });
    else if (action?.kind === 'signal') this.#awaitSignal(step, action.signal, action.timeoutMs);
    else if (undo) this.outputs.push({ type: 'undo-child', step: step.name });
    else this.#startChild(step);
  }

  #send(step: StepDefinition, action: CommandAction, attempt: number, again: boolean): void {
    let payload: unknown;
    try {
      payload = action.request(this.#data);
    } catch (error) {
      return this.stick(step, `its command cannot be made: ${describeError(error)}`);
    }
    this.put(step, { dueMs: this.nowMs + action.policy.timeoutMs });
    const { op } = action;
    const { topic, url } = action.command;
    this.outputs.push({ type: 'command', step: step.name, op, attempt, topic, url, payload, again });
  }

  #awaitSignal(step: StepDefinition, name: string, timeoutMs: number | null): void {
    this.put(step, { dueMs: timeoutMs === null ? null : this.nowMs + timeoutMs });
    if (!Object.hasOwn(this.#signals, name)) return;
    const payload = this.#signals[name];
    delete this.#signals[name];
    this.receiveSignal(step, payload);
  }

  #startChild(step: StepDefinition): void {
    if (step.forward.kind !== 'child') return;
    try {
      const { key, data } = step.forward.start(this.#data);
      const { type: childType, version: childVersion } = step.forward;
      this.outputs.push({ type: 'child', step: step.name, childType, childVersion, key, data });
    } catch (error) {
      this.stick(step, `its child cannot be started: ${describeError(error)}`);
    }
  }

  /** Begins everything that can begin now, and says how the saga stands. */
  settle(): void {
    // A step may be over as soon as it begins: a condition, a signal that is there already, a step without compensation.
    for (let moved = true; moved;) moved = this.direction === 'forward' ? this.#forward() : this.#backward();
    const records = Object.values(this.#steps);
    const isStuck = records.some(({ status }) => status === 'stuck' || status === 'undo-stuck');
    if (isStuck) this.#state = 'STUCK';
    else if (this.direction === 'forward')
      this.#state = this.definition.steps.every((step) => this.#isIn(step, BEHIND)) ? 'COMPLETED' : 'RUNNING';
    else if (!records.every(({ status }) => CLEAN.has(status))) this.#state = 'COMPENSATING';
    else this.#state = this.cancelled ? 'CANCELLED' : 'COMPENSATED';
    if (this.#state === 'RUNNING') this.#reason = null;
  }

  #forward(): boolean {
    const { steps } = this.definition;
    // An operator has the word: nothing new is begun beside what is stuck.
    if (Object.values(this.#steps).some(({ status }) => status === 'stuck')) return false;
    for (const step of steps) {
      if (this.direction === 'backward') return true;
      if (this.peek(step) !== undefined) continue;
      if (!step.after.every((place) => this.#isIn(steps[place] as StepDefinition, BEHIND))) continue;
      this.#begin(step);
      return true;
    }
    return false;
  }

  #begin(step: StepDefinition): void {
    try {
      if (step.when !== undefined && !step.when(this.#data)) {
        this.put(step, { status: 'skipped', attempt: 0 });
        return;
      }
    } catch (error) {
      return this.stick(step, `its condition failed: ${describeError(error)}`);
    }
    this.attempt(step);
  }

  #backward(): boolean {
    const { steps, behind } = this.definition;
    for (let place = steps.length - 1; place >= 0; place -= 1) {
      const step = steps[place] as StepDefinition;
      const status = this.peek(step)?.status;
      if (status !== 'done' && status !== 'failed') continue;
      const isLast = behind[place]?.every((later) => {
        const laterStep = steps[later] as StepDefinition;
        return this.peek(laterStep) === undefined || this.#isIn(laterStep, CLEAN);
      });
      if (isLast !== true) continue;
      if (step.undo === undefined) this.put(step, { status: 'undone', dueMs: null });
      else {
        this.put(step, { status: 'undoing', attempt: 0, forgiven: 0 });
        this.attempt(step);
      }
      return true;
    }
    return false;
  }

  #isIn(step: StepDefinition, statuses: ReadonlySet<StepStatus>): boolean {
    const status = this.peek(step)?.status;
    return status !== undefined && statuses.has(status);
  }
}

function policyOf(action: { readonly kind: string } | undefined): StepPolicy {
  return (action as CommandAction | LocalAction).policy;
}

function asObject(value: unknown): object | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object' || Array.isArray(value)) throw new TypeError('it must be an object');
  // The answers of TCC's tries stand there by the names of their branches, whatever those are.
  return plainJson(value, 'what it adds', 'ourselves');
}
