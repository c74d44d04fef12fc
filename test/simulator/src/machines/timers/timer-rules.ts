import type { Transaction } from '../../model/transaction.js';
import type { World } from '../../scheduler/world.js';
import type { TimerModel } from './timer-model.js';
import type { TimerUsers } from './timer-users.js';

/** Longest lateness once nothing disturbs any more: a sweep comes at least every 30 seconds. */
const LATEST_MS = 33_000;

/** Every timer fires once, at its time or later, and none is lost. */
export class TimerRules {
  #calmSinceMs: number | undefined;

  constructor(
    private readonly world: World,
    private readonly model: TimerModel,
    private readonly users: TimerUsers,
  ) {}

  get areAllFired(): boolean {
    const fired = new Set(this.model.log.committed.map(({ message }) => message));
    return [...this.users.committed.values()].every(
      ({ message, isCancelled }) => isCancelled || fired.has(message),
    );
  }

  check({ facts }: Transaction): void {
    const { world } = this;
    if (!world.isStormy) this.#calmSinceMs ??= world.nowMs;
    const fired = this.model.log.committed.map(({ message }) => message);
    for (const message of (facts.get('fired') ?? []) as number[]) {
      const timer = this.users.committed.get(message);
      if (timer === undefined || timer.isCancelled)
        world.broken('only what is scheduled fires', `timer ${message}`);
      else if (timer.dueMs > world.nowMs)
        world.broken('no timer fires early', `timer ${message}, ${timer.dueMs - world.nowMs} ms`);
      if (fired.indexOf(message) !== fired.lastIndexOf(message))
        world.broken('every timer fires once', `timer ${message}`);
    }
    const waiting = new Set(this.model.timers.committed.map(({ message }) => message));
    for (const { message, dueMs, sinceMs, isCancelled } of this.users.committed.values()) {
      if (isCancelled || fired.includes(message)) continue;
      if (!waiting.has(message)) world.broken('no timer is lost', `timer ${message}`);
      const fromMs = Math.max(dueMs, sinceMs, this.#calmSinceMs ?? Infinity);
      if (world.nowMs - fromMs > LATEST_MS)
        world.broken('no timer is forgotten', `timer ${message} is ${world.nowMs - dueMs} ms late`);
    }
  }
}
