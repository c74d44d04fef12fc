import type { ModelServer } from '../../model/model-server.js';
import type { World } from '../../scheduler/world.js';
import type { TimerModel } from './timer-model.js';

const DELAYS_MS = [0, 300, 1_500, 5_000, -2_000] as const;

/** What is committed of a timer. */
export interface CommittedTimer {
  readonly message: number;
  dueMs: number;
  /** When it was committed with this due time. */
  sinceMs: number;
  isCancelled: boolean;
}

/** Transactions that schedule timers, and some that cancel them or move them. They may commit late. */
export class TimerUsers {
  readonly committed = new Map<number, CommittedTimer>();
  #running = 0;

  constructor(
    private readonly world: World,
    private readonly server: ModelServer,
    private readonly model: TimerModel,
    private readonly armed: (dueMs: number) => void,
  ) {}

  get haveEnded(): boolean {
    return this.#running === 0;
  }

  start(): void {
    const { choices } = this.world;
    const count = 1 + choices.below(5);
    for (let message = 1; message <= count; message += 1) {
      this.#running += 1;
      this.world.spawn(async () => {
        await this.world.sleep(choices.below(4) * 500);
        await this.#schedule(message);
        if (choices.rarely(3)) await this.#change(message);
        this.#running -= 1;
      });
    }
  }

  async #schedule(message: number): Promise<void> {
    const { world, server } = this;
    const { choices } = world;
    const transaction = server.begin(`user ${message}`);
    const dueMs = this.model.schedule(transaction, message, world.nowMs + choices.oneOf(DELAYS_MS));
    world.note(() => `timer ${message} is scheduled, due in ${dueMs - world.nowMs} ms`);
    // A transaction that commits late adds a timer that was due long ago.
    if (choices.rarely(3)) await world.sleep(choices.oneOf([700, 3_000]));
    await world.step(`user ${message} ends`);
    if (choices.rarely(8)) return server.rollback(transaction);
    this.committed.set(message, { message, dueMs, sinceMs: world.nowMs, isCancelled: false });
    world.note(() => `timer ${message} is committed`);
    server.commit(transaction);
    this.armed(dueMs);
  }

  /** Cancels it or moves it. If it is gone, it has fired. */
  async #change(message: number): Promise<void> {
    const { world, server } = this;
    const { choices } = world;
    const timer = this.committed.get(message);
    if (timer === undefined) return;
    await world.sleep(choices.oneOf([0, 300, 1_500]));
    const transaction = server.begin(`user ${message}`);
    const isMove = choices.rarely(2);
    const wantedMs = world.nowMs + choices.oneOf(DELAYS_MS);
    const dueMs = isMove ? await this.model.reschedule(transaction, message, wantedMs) : undefined;
    const isCancelled = !isMove && (await this.model.cancel(transaction, message));
    await world.step(`user ${message} ends`);
    if (dueMs !== undefined) Object.assign(timer, { dueMs, sinceMs: world.nowMs });
    timer.isCancelled = isCancelled;
    world.note(
      () => `timer ${message}: ${isCancelled ? 'cancelled' : `due at ${dueMs ?? 'its time, it was gone'}`}`,
    );
    server.commit(transaction);
    if (dueMs !== undefined) this.armed(dueMs);
  }
}
