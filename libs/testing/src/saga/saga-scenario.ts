import { isDeepStrictEqual } from 'node:util';
import {
  newInstance,
  type SagaCommandContract,
  type SagaDefinition,
  type SagaEvent,
  type SagaInstance,
  type SagaOp,
  type SagaOutput,
  type SagaState,
} from '@waybill/saga';
import { nextTransition, isVoid, type OrderEvent } from '@waybill/saga/internal';
import { TestingError } from '../testing-error.js';

/** A local action in a scenario: it returns what it adds to the saga's data, or throws. */
export type LocalStub = (data: Readonly<Record<string, unknown>>) => object | void;

const SAGA_ID = '00000000-0000-7000-8000-000000000000';
/** The start time of scenarios' sagas: 1 January 2030, in UTC. */
const START_MS = Date.UTC(2030, 0);

type SentCommand = Extract<SagaOutput, { readonly type: 'command' }>;

/**
 * Tests the definition of a saga without a server, as a story: given a saga, when something happens, then it does this.
 * Every expectation that fails throws a {@link TestingError} with the story so far. The clock moves only by
 * {@link whenTimePasses}.
 *
 * ```ts
 * given(placeOrder)
 *   .whenStarted('A-1', { orderId: 'A-1', pence: 500 })
 *   .expectCommand(reserveStock, { orderId: 'A-1' })
 *   .whenReply('reserve', { shelf: 7 })
 *   .expectCommand(chargeCard, { orderId: 'A-1', pence: 500 })
 *   .whenRejected('charge', 'no money')
 *   .expectCommand(releaseStock, { orderId: 'A-1', shelf: 7 })
 *   .whenReply('reserve')
 *   .expectState('COMPENSATED');
 * ```
 */
export class SagaScenario<Input extends object> {
  #definition: SagaDefinition;
  readonly #locals = new Map<string, LocalStub>();
  readonly #story: string[] = [];
  /** Commands that no expectation has named yet. */
  #unseen: SentCommand[] = [];
  /** Signals and events that nothing waited for: name and payload. */
  readonly unawaited: (readonly [string, unknown])[] = [];
  /** Reminders that were sent: topic and payload. */
  readonly reminders: (readonly [string, unknown])[] = [];
  /** The last command of each step, to which replies refer. */
  readonly #last = new Map<string, SentCommand>();
  #instance: SagaInstance | undefined;
  #nowMs = 0;

  constructor(definition: SagaDefinition<Input, never>) {
    this.#definition = definition as unknown as SagaDefinition;
  }

  /** Sets the result of a local action; by default, it succeeds and adds nothing. Call it before the action runs. */
  withLocal(step: string, stub: LocalStub): this {
    this.#locals.set(step, stub);
    return this;
  }

  /** Starts the saga. */
  whenStarted(key: string, data: Input): this {
    const input = data as Readonly<Record<string, unknown>>;
    this.#instance = newInstance(this.#definition, { id: SAGA_ID, key, data: input, startedAtMs: START_MS });
    const { deadlineMs } = this.#instance;
    return this.#tell({ type: 'start', data: input, deadlineMs }, `started with ${JSON.stringify(data)}`);
  }

  /** The last command of a step succeeds. */
  whenReply(step: string, payload: unknown = null): this {
    return this.#reply(step, { status: 'done', payload });
  }

  /** The business says no. */
  whenRejected(step: string, error: string): this {
    return this.#reply(step, { status: 'rejected', error });
  }

  /** The command's attempts are used up at the participant. */
  whenFailed(step: string, error: string): this {
    return this.#reply(step, { status: 'failed', error });
  }

  /** A signal arrives. @param id two with one id count once */
  whenSignal(name: string, payload: unknown = null, id?: string): this {
    const event: SagaEvent = { type: 'signal', name, payload, ...(id !== undefined && { id }) };
    return this.#tell(event, `signal ${name}`);
  }

  /** The event arrives that a step waits for. */
  whenEvent(step: string, payload: unknown = null): this {
    return this.#tell({ type: 'event', step, payload }, `event for ${step}`);
  }

  /** A child saga has ended. @param pivot whether it has passed a pivot */
  whenChildEnds(
    step: string,
    state: SagaState,
    data: Readonly<Record<string, unknown>> = {},
    pivot = false,
  ): this {
    return this.#tell({ type: 'child', step, state, data, pivot }, `child ${step} is ${state}`);
  }

  /** A child saga that was to be undone has passed its pivot, and only goes forward. */
  whenChildRefuses(step: string, state: SagaState, data: Readonly<Record<string, unknown>> = {}): this {
    const event = { type: 'child', step, state, data, pivot: true, refused: true } as const;
    return this.#tell(event, `child ${step} is ${state}, and is not compensated`);
  }

  /** The saga that has this one as its child is compensated. */
  whenParentCompensates(reason = 'its parent is compensated'): this {
    return this.#tell({ type: 'undo', reason }, 'its parent is compensated');
  }

  /** An operator gives an order. */
  whenOperator(order: OrderEvent): this {
    return this.#tell(order, `an operator orders ${order.type}`);
  }

  /** From here on the saga continues with another definition: a newer release of its version. */
  withDefinition(definition: SagaDefinition<Input, never>): this {
    this.#definition = definition as unknown as SagaDefinition;
    return this;
  }

  /** Advances the clock by `ms` milliseconds; everything that falls due in them happens at its time. */
  whenTimePasses(ms: number): this {
    const until = this.#nowMs + ms;
    for (let due = this.#nextDue(); due !== undefined && due <= until; due = this.#nextDue()) {
      this.#nowMs = due;
      this.#tell({ type: 'due' }, `time is ${due} ms`);
    }
    this.#nowMs = until;
    return this;
  }

  /** An operator, or the service, cancels it. */
  whenCancelled(reason = 'cancelled'): this {
    return this.#tell({ type: 'cancel', reason }, 'cancelled');
  }

  /** The oldest command that was not expected yet went to this topic, with this payload. */
  expectCommand<Request>(command: SagaCommandContract<Request, unknown>, payload?: Request): this {
    const at = this.#unseen.findIndex(({ topic }) => topic === command.topic);
    const sent = this.#unseen[at];
    if (sent === undefined) return this.#fail(`a command to ${command.topic} was expected`);
    if (payload !== undefined && !isDeepStrictEqual(jsonOf(sent.payload), jsonOf(payload)))
      return this.#fail(
        `the command to ${command.topic} carries ${JSON.stringify(sent.payload)}, not ${JSON.stringify(payload)}`,
      );
    this.#unseen.splice(at, 1);
    return this;
  }

  /** Only expected commands were sent. */
  expectNoCommand(): this {
    if (this.#unseen.length === 0) return this;
    return this.#fail(`${this.#unseen.map(({ topic }) => topic).join(', ')} got unexpected commands`);
  }

  /** The saga is in this state, and has sent nothing unexpected. */
  expectState(state: SagaState): this {
    const { state: now, reason } = this.#saga();
    if (now !== state) return this.#fail(`it is ${now} (${reason ?? 'no reason'}), not ${state}`);
    return this.expectNoCommand();
  }

  /** The saga's data contain this, and perhaps more. */
  expectData(data: Readonly<Record<string, unknown>>): this {
    const now = this.#saga().data;
    for (const [name, value] of Object.entries(data))
      if (!isDeepStrictEqual(jsonOf(now[name]), jsonOf(value)))
        return this.#fail(`${name} is ${JSON.stringify(now[name])}, not ${JSON.stringify(value)}`);
    return this;
  }

  /** The current state of the saga. */
  get instance(): SagaInstance {
    return this.#saga();
  }

  #reply(
    step: string,
    answer: Pick<Extract<SagaEvent, { type: 'reply' }>, 'status' | 'payload' | 'error'>,
  ): this {
    const sent = this.#last.get(step);
    if (sent === undefined) return this.#fail(`step ${step} gets a reply, but has sent nothing`);
    const op: SagaOp = sent.op;
    const { attempt } = sent;
    return this.#tell({ type: 'reply', step, op, attempt, ...answer }, `${step} ${op} ${answer.status}`);
  }

  #tell(event: SagaEvent, story: string): this {
    this.#story.push(story);
    const { instance, outputs } = nextTransition(this.#definition, this.#saga(), event, this.#nowMs);
    this.#instance = instance;
    for (const output of outputs) this.#do(output);
    return this;
  }

  #do(output: SagaOutput): void {
    if (output.type === 'command') {
      this.#story.push(`  sent ${output.step} ${output.op} to ${output.topic}`);
      this.#unseen.push(output);
      this.#last.set(output.step, output);
    } else if (output.type === 'local') this.#local(output.step, output.undo, output.attempt);
    else if (output.type === 'child') this.#story.push(`  started ${output.childType} ${output.key}`);
    else if (output.type === 'reminder') {
      this.#story.push(`  reminded ${output.topic} of ${output.step}`);
      this.reminders.push([output.topic, output.payload]);
    } else if (output.type === 'unawaited') {
      this.#story.push(`  nothing waits for ${output.name}`);
      this.unawaited.push([output.name, output.payload]);
    } else if (output.type === 'ignored') this.#story.push(`  ignored: ${output.why}`);
  }

  #local(step: string, undo: boolean, attempt: number): void {
    const { data } = this.#saga();
    // An earlier output of the same transition may have voided it.
    if (isVoid(this.#saga(), { type: 'local', step, undo, attempt })) return;
    let event: Extract<SagaEvent, { type: 'local' }>;
    try {
      const payload = undo ? undefined : this.#locals.get(step)?.(data);
      event = { type: 'local', step, undo, attempt, status: 'done', payload: payload ?? undefined };
    } catch (error) {
      const isRejection = error instanceof Error && error.name === 'SagaRejectedError';
      const why = error instanceof Error ? error.message : String(error);
      const status = isRejection ? 'rejected' : 'failed';
      event = { type: 'local', step, undo, attempt, status, error: why };
    }
    this.#tell(event, `  ${step}${undo ? ' undone' : ''} here: ${event.status}`);
  }

  #nextDue(): number | undefined {
    const { steps, deadlineMs } = this.#saga();
    const times = Object.values(steps).flatMap(({ dueMs, remind }) =>
      [dueMs ?? [], remind?.dueMs ?? []].flat(),
    );
    if (deadlineMs !== null) times.push(deadlineMs);
    return times.length === 0 ? undefined : Math.max(this.#nowMs, Math.min(...times));
  }

  #saga(): SagaInstance {
    if (this.#instance === undefined)
      throw new TestingError('SCENARIO_FAILED', 'The saga was not started. Call whenStarted first.');
    return this.#instance;
  }

  #fail(what: string): never {
    const story = this.#story.map((line) => `  ${line}`).join('\n');
    throw new TestingError('SCENARIO_FAILED', `In saga ${this.#definition.type}: ${what}.\n${story}`);
  }
}

function jsonOf(value: unknown): unknown {
  return value === undefined ? null : JSON.parse(JSON.stringify(value));
}

/** Begins a scenario for a definition; see {@link SagaScenario}. */
export function given<Input extends object, Output extends object>(
  definition: SagaDefinition<Input, Output>,
): SagaScenario<Input> {
  return new SagaScenario(definition as unknown as SagaDefinition<Input, never>);
}
