/** When there is something to find: by now, or a moment later, when a transaction commits whose end cannot be seen. */
export type RingTime = 'now' | 'soon';

/**
 * Wakes a loop inside one process. A ring without a waiter is remembered, so a loop that looks for work and
 * then waits cannot miss a ring in between. It is only a hint: every loop polls as well.
 */
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;
  readonly #listeners = new Set<(when: RingTime) => void>();

  /** Wakes the waiter, or the next one. */
  ring(when: RingTime = 'now'): void {
    this.#rung = true;
    this.#wake?.();
    for (const listener of this.#listeners) listener(when);
  }

  /** Calls `listener` at every ring; returns a function that removes it. */
  onRing(listener: (when: RingTime) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Waits for a ring, at most `ms` milliseconds. Resolves to whether it rang; resolves early when `signal` aborts. */
  wait(ms: number, signal?: AbortSignal): Promise<boolean> {
    if (this.#rung || signal?.aborted === true) {
      const rung = this.#rung;
      this.#rung = false;
      return Promise.resolve(rung);
    }
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        this.#wake = undefined;
        const rung = this.#rung;
        this.#rung = false;
        resolve(rung);
      };
      const timer = setTimeout(finish, ms);
      signal?.addEventListener('abort', finish, { once: true });
      this.#wake = finish;
    });
  }
}
