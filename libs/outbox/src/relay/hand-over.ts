import {
  type Clock,
  describeError,
  LogWentBackError,
  type Logger,
  type PgDatabase,
  SourceDivergedError,
} from '@waybill/kernel';
import {
  bindService,
  type HandOvers,
  type LogEngine,
  type ReadyBatch,
  type SourcePass,
  type SourceState,
  type WrappedKey,
} from '@waybill/log';
import { noteHealed, relayIntents, relayNewest } from '../statements.generated.js';
import { Amendments } from './amendments.js';
import type { DifferenceReader } from './difference-reader.js';
import type { NewPass, PassId } from './pass.js';
import { type KnownPass, readAgain } from './read-again.js';

/** Passes that may be committed in the service's database before the log has answered for the first of them. */
const MOST_UNANSWERED = 4;
/** Interval at which a relay without work looks whether the log is still the one that it asked, in milliseconds. */
const LOOK_MS = 5_000;
/** A pass of another relay that is younger is left to it, in milliseconds. */
const OTHERS_MS = 1_000;

/** Dependencies of a {@link HandOver}. */
export interface HandOverDependencies {
  readonly database: PgDatabase;
  readonly log: LogEngine;
  readonly reader: DifferenceReader;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Gets the passes of an outbox into the log, each exactly once. A pass is committed in the service's database first, under a
 * number and a random token; the log accepts it only behind the one before. After any doubt the log is asked what it
 * holds, and what it lacks is read and appended again. Where log and outbox share a database, both are one transaction.
 */
export class HandOver {
  /** How the relay's own transaction appends; undefined when the log is elsewhere. */
  readonly within: HandOvers | undefined;
  readonly #amendments: Amendments;
  /** The newest pass that the log holds, or that is on its way there; undefined while that is in doubt. */
  #newest: PassId | undefined;
  #serviceId = '';
  #logEpoch = 0;
  /** Of the log's server, when it was asked. */
  #incarnation = 0;
  #lookedAt = -Infinity;
  #answeredN = 0;
  /** Passes that this relay has made, as far as they are not answered. */
  readonly #own = new Set<string>();
  readonly #unanswered = new Set<Promise<void>>();
  /** The last of them: each is sent when the one before has been answered. */
  #last: Promise<void> = Promise.resolve();

  constructor(private readonly dependencies: HandOverDependencies) {
    this.within = dependencies.log.handOverWithin(dependencies.database);
    this.#amendments = new Amendments(dependencies);
  }

  /** The newest pass that the log has answered for. */
  get answeredN(): number {
    return this.#answeredN;
  }

  /** Whether a pass may follow on this one. Where both are one transaction, the log holds what the outbox says. */
  follows(newest: PassId): boolean {
    if (this.#newest === undefined) return false;
    if (this.within !== undefined) this.#newest = { n: newest.n, token: newest.token };
    return this.#newest.n === newest.n && this.#newest.token === newest.token;
  }

  /** To be called when it is not certain any more what the log holds. */
  doubt(): void {
    this.#newest = undefined;
  }

  /**
   * Doubts if the log's server was started again or replaced since it was asked: it may lack what it had answered for, and
   * without another pass it would never be asked again.
   */
  async look(): Promise<void> {
    const { clock, log } = this.dependencies;
    if (this.within !== undefined || clock.monotonic() - this.#lookedAt < LOOK_MS) return;
    const { logEpoch, incarnation } = await log.identity();
    this.#lookedAt = clock.monotonic();
    if (logEpoch !== this.#logEpoch || incarnation !== this.#incarnation) this.doubt();
  }

  /** Whether it is certain what the log holds. */
  get isSettled(): boolean {
    return this.#newest !== undefined;
  }

  /** The pass as the log gets it. */
  sourcePass({ n, token, before }: NewPass): SourcePass {
    const tokenBefore = before.n === 0 ? null : before.token;
    return { serviceId: this.#serviceId, logEpoch: this.#logEpoch, n, token, tokenBefore };
  }

  /**
   * To be called once a pass is committed in the service's database: sends it, unless it is in the log already.
   * @param keys of subjects that the batches need
   */
  async committed(pass: NewPass, batches: readonly ReadyBatch[], keys: readonly WrappedKey[]): Promise<void> {
    this.#newest = { n: pass.n, token: pass.token };
    if (this.within !== undefined) {
      this.#answeredN = pass.n;
      return;
    }
    this.#own.add(pass.token);
    const before = this.#last;
    const sent = before
      .then(() => this.#send(pass, batches, keys))
      .finally(() => this.#unanswered.delete(sent));
    this.#unanswered.add(sent);
    this.#last = sent;
    if (this.#unanswered.size >= MOST_UNANSWERED) await Promise.race(this.#unanswered);
  }

  async #send(pass: NewPass, batches: readonly ReadyBatch[], keys: readonly WrappedKey[]): Promise<void> {
    // After a failure nothing more is sent until the log was asked.
    if (this.#newest === undefined) return;
    try {
      await this.dependencies.log.handOver(this.sourcePass(pass), batches, keys);
      this.#answered(pass);
    } catch (error) {
      this.doubt();
      this.dependencies.logger.debug(
        `pass ${pass.n} was not answered by the log, which will be asked: ${describeError(error)}`,
      );
    }
  }

  #answered({ n, token }: PassId): void {
    this.#answeredN = Math.max(this.#answeredN, n);
    this.#own.delete(token);
  }

  /** Waits until all that was sent is answered, or has failed. */
  async drain(): Promise<void> {
    await this.#last;
  }

  /**
   * Asks the log what it holds, and appends what it lacks.
   * @returns whether a pass may begin; false while another relay is at work on the newest
   * @throws SourceDivergedError, LogWentBackError, BusMismatchError
   */
  async settle(): Promise<boolean> {
    await this.drain();
    for (let asked = 1; ; asked += 1) {
      // Read before the question: what was answered by then, the log holds. Another relay may go on in the meantime.
      const [before] = await this.dependencies.database.session.run(relayNewest);
      const state = await this.#ask();
      // Read after the answer: a pass that the log holds is committed here.
      const [newest] = await this.dependencies.database.session.run(relayNewest);
      if (before === undefined || newest === undefined) throw new LogWentBackError('The outbox has no pass');
      // What was answered by a log that has lost it since is not answered any more.
      this.#answeredN = Math.min(this.#answeredN, state.n);
      if (state.n > newest.n || (state.n === newest.n && state.n > 0 && !(await this.#isHeld(state)))) {
        // Another relay may be quicker than the two questions.
        if (asked === 1) continue;
        throw diverged(this.#serviceId, state);
      }
      if (state.n < newest.n) {
        const { confirmedN, madeMsAgo } = newest;
        if (state.n < before.confirmedN && !this.#isHealing)
          throw new LogWentBackError(
            `The log holds passes of service ${this.#serviceId} up to ${state.n}, and had confirmed ${before.confirmedN}`,
          );
        // Another relay has handed passes over since the log was asked, and their rows may be gone: the next answer tells.
        if (state.n < confirmedN && !this.#isHealing) {
          if (asked === 1) continue;
          return false;
        }
        if (!this.#own.has(newest.token) && state.n >= confirmedN && madeMsAgo < OTHERS_MS) return false;
        await this.dependencies.log.topics.restore();
        if (!(await this.#appendAgain(state, newest))) return false;
      }
      if (this.#isHealing) await this.dependencies.database.session.run(noteHealed, this.#logEpoch);
      this.#caughtUp = this.#logEpoch;
      this.#newest = { n: newest.n, token: newest.token };
      return true;
    }
  }

  #caughtUp = 0;

  /** Whether the log has lost a tail, by an operator's word, and this service has not yet appended again what is missing. */
  get #isHealing(): boolean {
    return this.#caughtUp < this.#logEpoch;
  }

  async #ask(): Promise<SourceState> {
    const { log, database } = this.dependencies;
    const { busId, logEpoch, incarnation } = await log.identity();
    this.#incarnation = incarnation;
    this.#lookedAt = this.dependencies.clock.monotonic();
    const service = await bindService(database.session, busId, logEpoch);
    this.#serviceId = service.serviceId;
    this.#caughtUp = service.logEpoch;
    const state = await log.askSource(service.serviceId);
    this.#logEpoch = state.logEpoch;
    return state;
  }

  /** Whether the log's newest pass is one of this database; an older version of it becomes the newest again. */
  async #isHeld(state: SourceState): Promise<boolean> {
    // The last one with that token: a version that was restored has the token of the older one.
    const versions = await this.#versions(state.n, state.n);
    const held = versions.findLast(({ token }) => token === state.token);
    if (held === undefined) return false;
    if (held !== versions.at(-1)) await this.#amendments.restore(held);
    return true;
  }

  /** Appends the passes after the log's newest. @returns false when passes were changed: then the log is to be asked again */
  async #appendAgain(state: SourceState, newest: PassId): Promise<boolean> {
    const { log, database, reader } = this.dependencies;
    const versions = await this.#versions(state.n, newest.n);
    const known = versions.filter(({ n }) => n === state.n);
    if (state.n > 0) {
      if (known.length === 0) throw rowsGone(state.n, this.#serviceId);
      const held = known.findLast(({ token }) => token === state.token);
      if (held === undefined) throw diverged(this.#serviceId, state);
      if (held !== known.at(-1)) {
        await this.#amendments.restore(held);
        return false;
      }
    }
    for (let n = state.n + 1; n <= newest.n; n += 1) {
      const pass = versions.findLast((each) => each.n === n);
      if (pass === undefined) throw rowsGone(n, this.#serviceId);
      const { batches, keys } = await readAgain(database, reader, pass);
      const sent = {
        serviceId: this.#serviceId,
        logEpoch: this.#logEpoch,
        n,
        token: pass.token,
        tokenBefore: n === 1 ? null : pass.tokenBefore,
      };
      try {
        await log.handOver(sent, batches, keys);
      } catch (error) {
        // Only what the log refuses in a pass that it would take otherwise is left out.
        await this.#amendments.leaveOut(error, sent, pass);
        return false;
      }
      this.#answered(pass);
    }
    return true;
  }

  async #versions(fromN: number, toN: number): Promise<readonly KnownPass[]> {
    return this.dependencies.database.session.run(relayIntents, fromN, toN);
  }
}

function diverged(serviceId: string, { n }: SourceState): SourceDivergedError {
  return new SourceDivergedError(
    `The log holds pass ${n} of service ${serviceId}, and this database does not know it`,
  );
}

function rowsGone(n: number, serviceId: string): LogWentBackError {
  return new LogWentBackError(
    `The log lacks pass ${n} of service ${serviceId}, and this database does not keep it any more: \`npx waybill relay reconcile\` goes on without it`,
  );
}
