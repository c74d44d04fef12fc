import type { SagaData, SagaDefinition, StepDefinition } from '../src/definition/saga-definition.js';
import type { SagaEvent, SagaOutput } from '../src/machine/saga-event.js';
import { isVoid } from '../src/machine/void-output.js';
import { isEnd, type SagaInstance } from '../src/machine/saga-instance.js';
import { advance, newInstance } from '../src/machine/advance.js';

/** Decides by chance, the same way for the same seed (mulberry32, T. Ettinger). */
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

/** What is on its way between the saga and its participants, in no order. */
type Parcel = { readonly command: Command } | { readonly event: SagaEvent };

/** How participants and local actions behave. Parts of 1. */
export interface Manners {
  readonly reject: number;
  /** The command fails for this attempt, and the saga is told. */
  readonly fail: number;
  /** The command is done, or not, and nobody tells. */
  readonly silence: number;
  readonly duplicate: number;
  /** Compensations fail as actions do. */
  readonly undoFails: boolean;
}

/** What has happened at a participant under one operation of one branch. */
type Deed = 'done' | 'rejected' | 'barred';

/**
 * A saga among participants that have barriers, and a network that loses no message but doubles, delays and reorders
 * them: the model that the machine is held against.
 */
export class SagaWorld {
  instance: SagaInstance;
  nowMs = 0;
  readonly deeds = new Map<string, Deed>();
  /** Each effect that took place, in order: `reserve/action`. */
  readonly effects: string[] = [];
  readonly #parcels: Parcel[] = [];
  steps = 0;

  constructor(
    readonly definition: SagaDefinition,
    data: SagaData,
    private readonly manners: Manners,
    private readonly random: () => number,
  ) {
    this.instance = newInstance(definition, { id: 'saga', key: 'key', data });
    this.tell({ type: 'start', data, deadlineMs: definition.deadlineMs });
  }

  get ended(): boolean {
    return isEnd(this.instance.state);
  }

  tell(event: SagaEvent): void {
    this.steps += 1;
    const { instance, outputs } = advance(this.definition, this.instance, event, this.nowMs);
    this.instance = instance;
    for (const output of outputs) this.#do(output);
  }

  /** Something happens: a parcel arrives, or time goes by. */
  move(): void {
    const isPatient = this.#parcels.length > 0 && this.random() < 0.9;
    if (!isPatient) return this.#wait();
    const at = Math.floor(this.random() * this.#parcels.length);
    const parcel = this.#parcels[at] as Parcel;
    if (this.random() >= this.manners.duplicate) this.#parcels.splice(at, 1);
    if ('event' in parcel) this.tell(parcel.event);
    else this.#serve(parcel.command);
  }

  /** Delivers everything that is on its way, as a log does in the end. */
  drain(): void {
    for (let parcel = this.#parcels.shift(); parcel !== undefined; parcel = this.#parcels.shift()) {
      if ('event' in parcel) this.tell(parcel.event);
      else this.#serve(parcel.command);
    }
  }

  #wait(): void {
    const times = Object.values(this.instance.steps).flatMap(({ dueMs }) => dueMs ?? []);
    if (this.instance.deadlineMs !== null) times.push(this.instance.deadlineMs);
    if (times.length === 0) return;
    this.nowMs = Math.max(this.nowMs, Math.min(...times));
    this.tell({ type: 'due' });
  }

  #do(output: SagaOutput): void {
    if (output.type === 'command') this.#parcels.push({ command: output });
    else if (output.type === 'local') this.#local(output);
  }

  #local(output: Extract<SagaOutput, { type: 'local' }>): void {
    if (isVoid(this.instance, output)) return;
    const { step, undo, attempt } = output;
    const event = { type: 'local', step, undo, attempt } as const;
    const mood = this.random();
    const { reject, fail } = this.manners;
    const calm = undo && !this.manners.undoFails;
    if (!undo && mood < reject) return this.tell({ ...event, status: 'rejected', error: 'no' });
    if (!calm && mood < reject + fail) return this.tell({ ...event, status: 'failed', error: 'trouble' });
    this.effects.push(`${step}/${undo ? 'compensate' : 'action'}`);
    this.tell({ ...event, status: 'done' });
  }

  /** A participant with its barrier, as in libs/inbox. */
  #serve(command: Command): void {
    const { step, op } = command;
    const origin = op === 'compensate' ? 'action' : op === 'cancel' ? 'try' : undefined;
    const branch = (this.definition.steps.find(({ name }) => name === step) as StepDefinition).branch;
    const name = `${branch}/${op}`;
    const mood = this.random();
    const { reject, fail, silence } = this.manners;
    const calm = origin !== undefined && !this.manners.undoFails;
    if (!calm && mood < fail) return this.#answer(command, 'failed');
    if (!calm && mood < fail + silence && this.random() < 0.5) return;
    if (command.again && this.deeds.get(name) === 'rejected') this.deeds.delete(name);
    const before = this.deeds.get(name);
    if (before !== undefined) return;
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
    // The answer is committed with the effect: it comes, if late.
    this.#answer(command, 'done');
  }

  #answer({ step, op, attempt }: Command, status: 'done' | 'rejected' | 'failed'): void {
    this.#parcels.push({ event: { type: 'reply', step, op, attempt, status, payload: { [step]: attempt } } });
  }
}
