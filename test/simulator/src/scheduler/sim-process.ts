import type { Clock } from '@waybill/kernel';
import type { World } from './world.js';

/** A process of the simulated system. When it crashes, its memory is lost: none of its tasks ever goes on. */
export class SimProcess {
  isAlive = true;
  /** It has been stopped (SIGSTOP) and runs nothing before this time. */
  stoppedUntilMs = 0;
  readonly #atCrash: (() => void)[] = [];
  readonly clock: Clock;

  /** @param skewMs how far its wall clock is ahead of the database's */
  constructor(
    private readonly world: World,
    readonly name: string,
    skewMs = 0,
  ) {
    this.clock = {
      now: () => world.nowMs + skewMs,
      monotonic: () => world.nowMs,
      sleep: (ms, signal) => world.sleep(ms, this, signal),
    };
  }

  /** Calls back when it crashes. */
  atCrash(callback: () => void): void {
    this.#atCrash.push(callback);
  }

  /** Starts a task of this process. */
  spawn(task: () => Promise<void>): void {
    this.world.spawn(task, this);
  }

  /** Its memory is lost. */
  crash(): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.world.forget(this);
    for (const callback of this.#atCrash) callback();
  }
}
