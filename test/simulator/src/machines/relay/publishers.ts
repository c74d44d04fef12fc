import type { ModelServer } from '../../model/model-server.js';
import type { Transaction } from '../../model/transaction.js';
import type { World } from '../../scheduler/world.js';
import type { RelayModel } from './relay-model.js';

const KEYS = ['a', 'b'] as const;

/**
 * Business transactions that publish: one to three messages behind the lock of their key's row, with savepoints that
 * are rolled back, transactions that are, and prepared ones that end much later.
 */
export class Publishers {
  /** Messages of committed transactions, in the order of the commits. */
  readonly committed: number[] = [];
  readonly #places = new Map<number, number>();
  #running = 0;
  #nextMessage = 1;

  constructor(
    private readonly world: World,
    private readonly server: ModelServer,
    private readonly model: RelayModel,
  ) {}

  get haveEnded(): boolean {
    return this.#running === 0;
  }

  isCommitted(message: number): boolean {
    return this.#places.has(message);
  }

  /** The place of a message among all commits. */
  orderOf(message: number): number {
    return this.#places.get(message) ?? -1;
  }

  start(): void {
    const { choices } = this.world;
    const count = 2 + choices.below(6);
    for (let index = 0; index < count; index += 1) {
      this.#running += 1;
      this.world.spawn(async () => {
        await this.world.sleep(choices.below(4) * 400);
        await this.#publish(`publisher ${index + 1}`);
        this.#running -= 1;
      });
    }
  }

  async #publish(name: string): Promise<void> {
    const { world, server } = this;
    const { choices } = world;
    const key = choices.oneOf(KEYS);
    const transaction = server.begin(name);
    // Two transactions of one key interleave behind a row's lock, which they take before they publish.
    await server.locks.take(`row ${key}`, transaction, 'exclusive');
    // Another transaction's id may be older or newer than this one's order by lock.
    if (choices.rarely(2)) server.xidOf(transaction);
    const messages: number[] = [];
    for (let left = 1 + choices.below(3); left > 0; left -= 1) {
      await world.step(`${name} goes on`);
      const isTakenBack = choices.rarely(5);
      if (isTakenBack) transaction.savepoint();
      const message = this.#nextMessage;
      this.#nextMessage += 1;
      world.note(
        () => `${name} publishes message ${message} of ${key}${isTakenBack ? ', and takes it back' : ''}`,
      );
      await this.model.publish(transaction, key, message);
      if (isTakenBack) transaction.rollBackToSavepoint();
      else messages.push(message);
    }
    if (choices.rarely(6)) {
      server.prepare(transaction);
      world.note(() => `${name} is prepared`);
      await world.sleep(choices.oneOf([100, 1_000, 3_000]));
    }
    await world.step(`${name} ends`);
    if (choices.rarely(6)) return server.rollback(transaction);
    for (const message of messages) {
      this.#places.set(message, this.#places.size);
      this.committed.push(message);
    }
    this.#noteCommit(name, transaction);
  }

  #noteCommit(name: string, transaction: Transaction): void {
    this.world.note(() => `${name} commits (xid ${transaction.xid ?? 'none'})`);
    this.server.commit(transaction);
  }
}
