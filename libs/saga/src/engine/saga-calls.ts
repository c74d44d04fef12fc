import { Bell, describeError, type OpenTransaction } from '@waybill/kernel';
import { own, plainJson, runAhead, show } from '@waybill/kernel/internal';
import { callOfStep, callsOf } from '../definition/http-command.js';
import type { HttpCall, HttpCallName } from '../definition/saga-command.js';
import type { SagaDefinition, StepDefinition } from '../definition/saga-definition.js';
import { definitionName } from '../definition/saga-definitions.js';
import type { SagaEvent, SagaOutput } from '../machine/saga-event.js';
import { stepsOf } from '../machine/items.js';
import type { SagaInstance } from '../machine/saga-instance.js';
import { saveSagaCalls } from '../statements.generated.js';
import type { SagaContents } from './saga-contents.js';

/** Longest request, in bytes of its JSON. */
const MAX_BYTES = 1_048_576;
/** Printable ASCII, which any HTTP header can carry. */
const KEY = /^[\x21-\x7e]{1,255}$/;

type Command = Extract<SagaOutput, { readonly type: 'command' }>;

/** The calls of one transition. */
export interface CallingTransition {
  readonly definition: SagaDefinition;
  readonly transaction: OpenTransaction<unknown>;
  readonly before: SagaInstance;
  readonly instance: SagaInstance;
  readonly outputs: readonly SagaOutput[];
  readonly subject: string | undefined;
}

/**
 * Stores the HTTP calls that transitions request, in the transition's own transaction, which also
 * voids those that it gives up. `SagaCaller` makes the calls.
 */
export class SagaCalls {
  /** Rung when a transition of this process has requested a call. */
  readonly bell = new Bell();
  readonly #ring = (): void => this.bell.ring();

  constructor(
    private readonly replyTopic: string,
    private readonly contents: SagaContents,
  ) {}

  /** @returns the event for the saga when a call cannot be made */
  check({ definition, instance }: CallingTransition, { step, op, payload }: Command): SagaEvent | undefined {
    const http = callOfStep(definition, step, op);
    try {
      if (http === undefined) throw new TypeError('its definition has no such call');
      const json = jsonOf(payload);
      if (Buffer.byteLength(json) > MAX_BYTES)
        throw new RangeError(`its request is longer than ${MAX_BYTES} bytes`);
      const request: unknown = JSON.parse(json);
      http.url.for(request);
      const branch = branchOf(definition, instance, step);
      idempotencyKey(http, request, { sagaId: instance.id, branch, op }, 1);
      return undefined;
    } catch (error) {
      return { type: 'unsendable', step, error: describeError(error) };
    }
  }

  /** Writes the calls of a transition that are still wanted at its end, and voids the others. */
  async save(transition: CallingTransition): Promise<void> {
    const { definition, transaction, instance, subject } = transition;
    if (callsOf(definition).length === 0) return;
    const { session } = transaction;
    const underWay = callsUnderWay(definition, instance);
    const calls = transition.outputs.flatMap((output) => {
      const isWanted =
        output.type === 'command' &&
        underWay.some(({ step, op, attempt }) => isSame({ step, op, attempt }, output));
      return isWanted ? [rowOf(transition, output)] : [];
    });
    const key = calls.length === 0 ? undefined : await this.contents.keyOf(session, subject);
    const sealed = calls.map(({ payload, ...row }) => ({
      ...row,
      payload: JSON.parse(this.contents.seal(instance.id, payload, key)) as unknown,
    }));
    const json = [JSON.stringify(sealed), JSON.stringify(underWay)] as const;
    await runAhead(session, saveSagaCalls, instance.id, this.replyTopic, ...json);
    if (calls.length === 0) return;
    // Without notice of the commit, ring now: the caller then polls more often for a while.
    if (session.atCommit === undefined) this.#ring();
    else session.atCommit(this.#ring);
  }
}

interface CallUnderWay {
  readonly step: string;
  readonly branch: string;
  readonly op: string;
  readonly attempt: number;
}

/** The HTTP calls that an instance awaits. */
function callsUnderWay(definition: SagaDefinition, instance: SagaInstance): CallUnderWay[] {
  return Object.entries(instance.steps).flatMap(([name, { status, attempt }]) => {
    const step = findStep(definition, instance, name);
    const action = status === 'running' ? step?.forward : status === 'undoing' ? step?.undo : undefined;
    if (step === undefined || action?.kind !== 'command' || action.command.http === undefined) return [];
    return [{ step: name, branch: step.branch, op: action.op, attempt }];
  });
}

function isSame(a: Omit<CallUnderWay, 'branch'>, b: Omit<CallUnderWay, 'branch'>): boolean {
  return a.step === b.step && a.op === b.op && a.attempt === b.attempt;
}

function rowOf(
  { definition, before, instance }: CallingTransition,
  { step, op, attempt, again, payload }: Command,
) {
  const { forward, undo, branch } = findStep(definition, instance, step) as StepDefinition;
  const { url, timeoutMs } = callOfStep(definition, step, op) as HttpCall;
  const isUndo = undo?.kind === 'command' && undo.op === op;
  const undone = isUndo && forward.kind === 'command' && forward.command.http !== undefined;
  return {
    branch,
    op,
    step,
    attempt,
    again,
    definition: definitionName(definition),
    host: url.host,
    timeoutMs: timeoutMs ?? null,
    undoes: undone ? forward.op : null,
    // A step that was done, or that an operator declared done, is undone whether or not it was called.
    onlyIfBegun: undone && own(before.steps, step)?.status !== 'done',
    payload: jsonOf(payload),
  };
}

function findStep(
  definition: SagaDefinition,
  instance: SagaInstance,
  name: string,
): StepDefinition | undefined {
  return stepsOf(definition, instance).steps.find((step) => step.name === name);
}

function branchOf(definition: SagaDefinition, instance: SagaInstance, step: string): string {
  return findStep(definition, instance, step)?.branch ?? step;
}

function jsonOf(payload: unknown): string {
  return JSON.stringify(plainJson(payload ?? null, 'request'));
}

/**
 * The idempotency key of a call: the same for every try and attempt, a new one in each round.
 * @throws TypeError when the definition returns an invalid key, or what it throws
 */
export function idempotencyKey(http: HttpCall, request: unknown, call: HttpCallName, round: number): string {
  const made = http.idempotencyKey?.(request, call) ?? `${call.sagaId}/${call.branch}/${call.op}`;
  if (typeof made !== 'string' || !KEY.test(made))
    throw new TypeError(
      `idempotencyKey must return a string of 1 to 255 printable ASCII characters, got ${show(typeof made)}`,
    );
  return round === 1 ? made : `${made}/${round}`;
}
