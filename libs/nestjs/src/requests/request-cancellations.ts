import { randomBytes } from 'node:crypto';
import { nameBasedId } from '@waybill/kernel/internal';
import type { LogSignals } from '@waybill/log';

const NOTE = 'request-cancelled:';
/** Maximum number of cancelled requests that are remembered; older ones are forgotten. */
const MOST = 10_000;

/** A request's id and the secret that cancels it. */
export interface RequestName {
  readonly id: string;
  /** Only the requester knows it: the id is derived from it, and not the other way round. */
  readonly secret: string;
}

/** Creates the id of a new request. */
export function newRequest(): RequestName {
  const secret = randomBytes(24).toString('base64url');
  return { id: idOf(secret), secret };
}

function idOf(secret: string): string {
  return nameBasedId(`request ${secret}`);
}

/**
 * Requests that their requesters have cancelled. Processes notify each other of them by notes that may be lost, so a
 * cancelled request may still be handled. Any login may send notes: a note counts only with the secret of its request,
 * which only the requester knows.
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

  /** Notifies every process that may handle a request that its reply is no longer wanted. */
  tell({ secret }: RequestName): void {
    this.signals.notes.send(`${NOTE}${secret}`);
  }

  /** Whether a request is known to be cancelled. */
  has(id: string): boolean {
    return this.#given.has(id);
  }

  /**
   * Runs the handler of a request.
   * @param work gets a signal that aborts when the requester cancels, or with `signal`
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
    this.#running.get(id)?.abort(new Error('the requester cancelled the request'));
  }
}
