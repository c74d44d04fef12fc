import type pg from 'pg';
import { DatabaseUnavailableError } from '../errors/runtime-errors.js';
import { oneLine } from '../safe-text.js';
import { connectionAdvice } from '../sql/connection-advice.js';
import { sqlStateOf } from '../sql/translate-error.js';
import { describeThrown } from '../thrown.js';
import type { ServerCandidate, ServerChoices } from './server-candidate.js';
import { ASK_ROLE, type Demand, mismatch, roundsOf, type ServerRole } from './target-session.js';

/** An attempt to connect: a server, and what it must be. */
export interface Attempt {
  readonly server: ServerCandidate;
  readonly demand: Demand;
}

/** A refused login, database or setting: another server would refuse it as well. */
const FINAL = /^(28|3D|22|42)/;
const TLS_REFUSED = /does not support SSL/;
/** How long a second choice is kept before the first is tried again, in milliseconds. */
const SECOND_CHOICE_MS = 30_000;
/** The shortest time limit of an attempt, in milliseconds. */
const SHORTEST_MS = 1_000;
/** Bounds the attempts of one caller, in multiples of the number of servers. */
const MOST_ROUNDS = 4;

/**
 * Chooses among the servers of an address. The one that was connected to last comes first, so that a server that is
 * down delays one connection and not all.
 */
export class ServerChoice {
  readonly #attempts: readonly Attempt[];
  readonly #failures = new WeakMap<object, Attempt>();
  readonly #wanted: string;
  #current = 0;
  #keptUntil = Infinity;

  constructor({ candidates, wanted }: ServerChoices) {
    this.#wanted = wanted;
    this.#attempts = roundsOf(wanted).flatMap((demand) => candidates.map((server) => ({ server, demand })));
  }

  /** The time limit for one attempt, of that for a connection: the last server must get its turn, too. */
  shareOf(connectTimeoutMs: number): number {
    const share = Math.floor(connectTimeoutMs / this.#attempts.length);
    return Math.max(share, Math.min(connectTimeoutMs, SHORTEST_MS));
  }

  /** The attempt to make now. */
  next(): Attempt {
    if (performance.now() > this.#keptUntil) this.#turnTo(0);
    return this.#attempts[this.#current] as Attempt;
  }

  /** Notes that an attempt failed: the next one goes to the next server. */
  failed(attempt: Attempt, error: unknown): void {
    if (typeof error !== 'object' || error === null) return;
    this.#failures.set(error, attempt);
    const at = this.#attempts.indexOf(attempt);
    // A concurrent attempt may have moved on already.
    if (at !== this.#current || isFinal(error)) return;
    for (let step = 1; step <= this.#attempts.length; step += 1) {
      const to = (at + step) % this.#attempts.length;
      const isPlain = this.#attempts[to]?.server.isPlain === true;
      if (isPlain && !(step === 1 && TLS_REFUSED.test(reasonOf(error)))) continue;
      this.#turnTo(to);
      return;
    }
  }

  /**
   * Calls `connect` until it succeeds, or every server has failed.
   * @param connect makes the attempt of {@link next}, and tells {@link failed} if it fails
   */
  async inTurn<T>(connectTimeoutMs: number, connect: () => Promise<T>): Promise<T> {
    const deadline = performance.now() + connectTimeoutMs;
    const failures = new Map<Attempt, unknown>();
    for (let calls = 1; ; calls += 1) {
      try {
        return await connect();
      } catch (error) {
        const attempt = typeof error === 'object' && error !== null ? this.#failures.get(error) : undefined;
        if (attempt === undefined || isFinal(error)) throw error;
        failures.set(attempt, error);
        const isLate = performance.now() > deadline || calls >= MOST_ROUNDS * this.#attempts.length;
        if (!isLate && this.#hasMore(failures)) continue;
        throw failures.size === 1 && !(error instanceof UnwantedServerError) ? error : this.#none(failures);
      }
    }
  }

  /** Concurrent callers share the order: the next server may be one that failed here, with others still to come. */
  #hasMore(failures: ReadonlyMap<Attempt, unknown>): boolean {
    if (!failures.has(this.next())) return true;
    return this.#attempts.some((attempt) => attempt.server.isPlain !== true && !failures.has(attempt));
  }

  #turnTo(at: number): void {
    this.#current = at;
    const isSecondChoice = this.#attempts[at]?.demand !== this.#attempts[0]?.demand;
    this.#keptUntil = isSecondChoice ? performance.now() + SECOND_CHOICE_MS : Infinity;
  }

  #none(failures: ReadonlyMap<Attempt, unknown>): DatabaseUnavailableError {
    const errors = [...failures.values()];
    const reasons = [...failures].map(([{ server }, error]) => `${server.name}: ${reasonOf(error)}`);
    const isUnwanted = errors.some((error) => error instanceof UnwantedServerError);
    return new DatabaseUnavailableError(
      `No server can be used (target_session_attrs=${this.#wanted}): ${reasons.join('; ')}`,
      {
        cause: errors.at(-1),
        remedy: isUnwanted
          ? 'Wait until a server has that role, or correct the hosts and target_session_attrs in the connection string'
          : errors.map((error) => connectionAdvice(error)).find((advice) => advice !== undefined),
      },
    );
  }
}

/** The connection is good, but the server is not the one that `target_session_attrs` asks for. */
class UnwantedServerError extends Error {
  override readonly name = 'UnwantedServerError';
}

/**
 * Checks on a new connection that the server is the wanted one.
 * @throws an error for {@link ServerChoice.failed}
 */
export async function assertWanted({ demand }: Attempt, client: pg.ClientBase): Promise<void> {
  if (demand === 'any') return;
  const { rows } = await client.query<ServerRole>(ASK_ROLE);
  const why = mismatch(demand, rows[0] ?? { recovering: false, readonly: false });
  if (why !== undefined) throw new UnwantedServerError(why);
}

function isFinal(error: unknown): boolean {
  return FINAL.test(sqlStateOf(error) ?? '');
}

/** A host with several addresses fails with the errors of all of them, and an empty message. */
function reasonOf(error: unknown): string {
  const { message, code } = describeThrown(error);
  return oneLine(message === '' ? (code ?? 'unknown') : message);
}
