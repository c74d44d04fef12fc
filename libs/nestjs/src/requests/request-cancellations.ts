import { randomBytes } from 'node:crypto';
import { nameBasedId } from '@waybill/kernel/internal';
import type { LogSignals } from '@waybill/log';

const NOTE = 'request-cancelled:';
/** Requests that are remembered at most; of older ones it is forgotten that nobody waits for them. */
const MOST = 10_000;

/** A request's id, and what gives it up. */
export interface RequestName {
  readonly id: string;
  /** Known to the asker alone: the id follows from it, and not the other way round. */
  readonly secret: string;
}

/** Names a new request. */
export function newRequest(): RequestName {
  const secret = randomBytes(24).toString('base64url');
  return { id: idOf(secret), secret };
}

function idOf(secret: string): string {
  return nameBasedId(`request ${secret}`);
}

/**
 * Requests that their askers have given up. It is told by notes between processes, which may be lost: a request that was
 * given up may be handled all the same. Any login may send notes: one counts only with the secret of its request, which the
 * asker alone knows.
 */
export class RequestCancellations {
  /** Oldest first. */
  readonly #given = new Set<string>();
  readonly #running = new Map<string, AbortController>();

  constructor(private readonly signals: LogSignals) {
    signals.notes.onNote((note) => {
      if (note.startsWith(NOTE)) this.#onNote(note.slice(NOTE.length));
    });
  }

  /** Tells anyone who may handle a request that nobody waits for its answer any more. */
  tell({ secret }: RequestName): void {
    this.signals.notes.send(`${NOTE}${secret}`);
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

  #onNote(secret: string): void {
    const id = idOf(secret);
    this.#given.add(id);
    if (this.#given.size > MOST) {
      const [oldest] = this.#given;
      if (oldest !== undefined) this.#given.delete(oldest);
    }
    this.#running.get(id)?.abort(new Error('the asker of the request has given it up'));
  }
}
