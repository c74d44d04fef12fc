// Where saga programs crash: the table `plan` names, for the saga of an order, a transition of its path and a place in
// it. A transition that reaches its place is noted and stops there, and its process crashes a moment later, so that
// others that reach theirs in the meantime crash with it.
import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';

/** How long the process still runs, in milliseconds. */
const MOMENT_MS = 25;
/** The maximum while transactions are being committed and noted. */
const COMMIT_MS = 10_000;

export class Faults {
  /** The transitions that the current transaction has made: each says whether a crash is planned at some place. */
  #made = new AsyncLocalStorage();
  #committing = 0;
  #dying = false;

  /** @param planned whether the table counts */
  constructor(pool, planned) {
    this.pool = pool;
    this.planned = planned;
  }

  /** Notes that the current transaction makes a transition; it crashes before it if so planned. */
  async enter(sagaId, transition) {
    await this.at(sagaId, transition, 'before');
    this.#made.getStore()?.push((places) => this.#isPlanned(sagaId, transition, places));
  }

  /** A transition has failed, and what follows is not known here: the process crashes somewhere in it. */
  async failed(sagaId, transition) {
    if (await this.#isPlanned(sagaId, transition, ['done', 'committed']))
      setTimeout(() => process.kill(process.pid, 'SIGKILL'), Math.random() * 8);
  }

  async at(sagaId, transition, place) {
    if (await this.#isPlanned(sagaId, transition, [place])) void this.#die();
    await this.#freeze();
  }

  /**
   * Notes that the current transaction starts an order's saga, whose id is not visible yet; it crashes before it if so
   * planned.
   */
  async start(orderId) {
    const isPlanned = (places) =>
      this.#note(`plan.id = $1 and transition = 'start' and place = any ($2)`, [orderId, places]);
    if (await isPlanned(['before'])) void this.#die();
    await this.#freeze();
    this.#made.getStore()?.push(isPlanned);
  }

  /** The process ends soon; running commits finish first, so that their own places are noted. */
  async #die() {
    if (this.#dying) return;
    this.#dying = true;
    await delay(MOMENT_MS);
    for (let waited = 0; this.#committing > 0 && waited < COMMIT_MS; waited += 5) await delay(5);
    process.kill(process.pid, 'SIGKILL');
  }

  async #freeze() {
    if (this.#dying) await delay(60_000);
  }

  /** Runs transactions as `runner` does, and crashes at the end of those, or after those, that are so planned. */
  around(runner) {
    return {
      kind: runner.kind,
      session: runner.session,
      run: (given) => this.#made.run([], () => this.#run(runner, given)),
    };
  }

  async #run(runner, given) {
    const made = this.#made.getStore();
    let committing = false;
    const work = async (opened) => {
      const result = await given.work(opened);
      for (const isPlanned of made) if (await isPlanned(['done'])) void this.#die();
      await this.#freeze();
      committing = true;
      this.#committing += 1;
      return result;
    };
    try {
      const result = await runner.run({ ...given, work });
      for (const isPlanned of made) if (await isPlanned(['committed'])) void this.#die();
      return result;
    } finally {
      if (committing) this.#committing -= 1;
      await this.#freeze();
    }
  }

  #isPlanned(sagaId, transition, places) {
    return this.#note(
      `plan.id = (select id from orders where saga_id = $1) and transition = $2 and place = any ($3)`,
      [sagaId, transition, places],
    );
  }

  /** On its own connection: the note stays, even if the transaction does not. */
  async #note(which, params) {
    if (!this.planned) return false;
    const { rowCount } = await this.pool.query(
      `update plan set killed = true where ${which} and not killed`,
      params,
    );
    return rowCount === 1;
  }
}
