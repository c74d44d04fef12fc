import type { LogSignals } from '@waybill/log';

const NOTE = 'request-cancelled:';
/** Requests that are remembered at most; of older ones it is forgotten that nobody waits for them. */
const MOST = 10_000;

/**
 * Requests that their askers have given up. It is told by notes between processes, which may be lost: a request that was
 * given up may be handled all the same.
 */
export class RequestCancellations {
  /** Oldest first. */
  readonly #given = new Set<string>();
  readonly #running = new Map<string, AbortController>();

  constructor(private readonly signals: LogSignals) {
    signals.notes.onNote((note) => {
      if (note.startsWith(NOTE)) this.#hear(note.slice(NOTE.length));
    });
  }

  /** Tells whoever may handle a request that nobody waits for its answer any more. */
  tell(id: string): void {
    this.signals.notes.send(`${NOTE}${id}`);
  }

  /** Whether the asker of a request is known to have given it up. */
  has(id: string): boolean {
    return this.#given.has(id);
  }

  /**
   * Runs the handler of a request.
   * @param work gets a signal that aborts when the asker gives up, or with `signal`
   */
  async watch<T>(id: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const given = new AbortController();
    this.#running.set(id, given);
    try {
      return await work(AbortSignal.any([signal, given.signal]));
    } finally {
      if (this.#running.get(id) === given) this.#running.delete(id);
    }
  }

  #hear(id: string): void {
    this.#given.add(id);
    if (this.#given.size > MOST) {
      const [oldest] = this.#given;
      if (oldest !== undefined) this.#given.delete(oldest);
    }
    this.#running.get(id)?.abort(new Error('the asker of the request has given it up'));
  }
}
