import type { Delivery } from '@waybill/consumer';
import type { Transaction } from '../../model/transaction.js';
import type { World } from '../../scheduler/world.js';
import type { LaneLoad } from './lane-load.js';
import type { Taking } from '../../model/progress-owner-model.js';
import { type LaneModel, PARTITION_ID } from './lane-model.js';
import type { LaneSettings } from './lane-process.js';

const MAX_ATTEMPTS = 3;
const MAX_CRASHES = 3;

/** The rules of a lane: checked at every commit, and at the end. */
export class LaneRules {
  readonly #dropped = new Set<number>();
  /** What runs in each process, by its member. */
  readonly #running = new Map<string, ReadonlySet<number>>();
  /** How often an owner has crashed, or lost the partition, while no other message ran, by offset. */
  readonly #crashes = new Map<number, number>();
  #position = 0;

  constructor(
    private readonly world: World,
    private readonly model: LaneModel,
    private readonly load: LaneLoad,
    private readonly settings: LaneSettings,
  ) {}

  /** Whether every message has ended and the group's position says so. */
  get isOver(): boolean {
    const { keys, endOffset } = this.load;
    if (this.#position < keys.length || endOffset < keys.length) return false;
    return this.model.parked.rows.committed.length === 0;
  }

  /** An attempt begins. */
  begins({ offset, attempt }: Delivery): void {
    if (attempt > MAX_ATTEMPTS)
      this.world.broken('attempts are limited', `attempt ${attempt} of message ${offset}`);
  }

  /** Observes what runs in a process. */
  observe(memberId: string, running: ReadonlySet<number>): void {
    this.#running.set(memberId, running);
  }

  /** The partition has a new owner: for that one, the old one has crashed. */
  #changed(before: string | null): void {
    const running = this.#running.get(before ?? '') ?? [];
    for (const offset of this.load.keys.keys())
      if ([...running].every((other) => other === offset))
        this.#crashes.set(offset, (this.#crashes.get(offset) ?? 0) + 1);
  }

  check({ facts }: Transaction): void {
    if (facts.size === 0) return;
    for (const dropped of (facts.get('dropped') ?? []) as number[]) this.#dropped.add(dropped);
    const [taking] = (facts.get('taken') ?? []) as Taking[];
    if (taking !== undefined && taking.from !== taking.to) this.#changed(taking.from);
    this.#checkOwner(facts.get('by') as { memberId?: string; epoch: number }[] | undefined);
    for (const dead of facts.get('dead') ?? []) this.#checkDead(dead as { offset: number; reason: string });
    this.#checkEffects();
    this.#checkPosition();
    this.#checkForgotten();
  }

  #checkOwner(claims: readonly { memberId?: string; epoch: number }[] | undefined): void {
    const owner = this.model.owners.ownerOf(PARTITION_ID);
    for (const { memberId = owner?.memberId, epoch } of claims ?? [])
      if (memberId !== owner?.memberId || epoch !== owner?.ownerEpoch)
        this.world.broken(
          'a fenced owner has no effect',
          `${memberId} (epoch ${epoch}) commits, the owner is ${owner?.memberId} (epoch ${owner?.ownerEpoch})`,
        );
  }

  #checkDead({ offset, reason }: { offset: number; reason: string }): void {
    const failures = this.load.failures.get(offset) ?? 0;
    const crashes = this.#crashes.get(offset) ?? 0;
    const isRight =
      reason === 'attempts-spent'
        ? failures >= MAX_ATTEMPTS
        : reason === 'process-crashed'
          ? crashes >= MAX_CRASHES
          : reason !== 'by-handler' || this.load.asked.get(offset)?.has('set aside') === true;
    if (!isRight)
      this.world.broken(
        'a message is set aside only for its own faults',
        `message ${offset}: ${reason} after ${failures} failures and ${crashes} crashes of its own`,
      );
  }

  #checkEffects(): void {
    const { world, load } = this;
    const done = this.model.ledger.committed.map(({ offset }) => offset);
    for (const [at, offset] of done.entries()) {
      if (!load.succeeded.has(offset))
        world.broken('only a handler that succeeds has effects', `message ${offset}`);
      if (done.indexOf(offset) !== at) world.broken('every effect happens once', `message ${offset}`);
      const key = load.keys[offset] ?? null;
      if (key === null && this.settings.concurrency === 'key') continue;
      const isOfKey = (other: number): boolean =>
        this.settings.concurrency === 'partition' || load.keys[other] === key;
      for (let before = 0; before < offset; before += 1)
        if (isOfKey(before) && done.lastIndexOf(before) > at)
          world.broken('messages of a key end in order', `${before} after ${offset} (${key})`);
    }
    const newest = done.at(-1);
    if (newest !== undefined) this.#checkWaiting(newest);
  }

  /** Before a message ends, the earlier ones of its key have. */
  #checkWaiting(offset: number): void {
    const key = this.load.keys[offset] ?? null;
    const inTurn = this.settings.concurrency === 'partition';
    if (key === null && !inTurn) return;
    for (let before = 0; before < offset; before += 1)
      if ((inTurn || this.load.keys[before] === key) && !this.#hasEnded(before))
        this.world.broken('messages of a key end in order', `${offset} passes ${before} (${key})`);
  }

  #checkPosition(): void {
    const position = this.model.newestPosition?.position ?? 0;
    if (position < this.#position)
      this.world.broken('the position never steps back', `from ${this.#position} to ${position}`);
    this.#position = position;
  }

  /** What counts as done, by position or mark, has ended or is parked. */
  #checkForgotten(): void {
    const marked = new Set(this.model.marks.committed.map(({ offset }) => offset));
    const parked = new Set(this.model.parked.rows.committed.map(({ offset }) => offset));
    for (const offset of this.load.keys.keys())
      if ((offset < this.#position || marked.has(offset)) && !parked.has(offset) && !this.#hasEnded(offset))
        this.world.broken('no message is forgotten', `message ${offset}, position ${this.#position}`);
  }

  #hasEnded(offset: number): boolean {
    const isOf = (row: { readonly offset: number }): boolean => row.offset === offset;
    if (this.model.ledger.committed.some(isOf)) return true;
    const letter = this.model.deadLetters.committed.find(isOf);
    if (letter?.state === 'discarded' || (letter !== undefined && this.settings.onDeadLetter === 'unblock'))
      return true;
    return this.#dropped.has(offset) || this.load.asked.get(offset)?.has('drop') === true;
  }
}
