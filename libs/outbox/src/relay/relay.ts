import {
  BackgroundService,
  type Bell,
  bindStatement,
  type BoundStatement,
  type Clock,
  type Given,
  IdlePace,
  invariant,
  isWaybillError,
  type Logger,
  oneOf,
  type PassResult,
  type PgConnection,
  type PgDatabase,
  resolveOptions,
  systemClock,
  wholeNumber,
} from '@waybill/kernel';
import { isTransactionConflict, guardLogger } from '@waybill/kernel/internal';
import { type LogEngine, WorkNotes, type WrappedKey } from '@waybill/log';
import {
  blamesMessage,
  learnsOfTopics,
  readSubjectKeys,
  type Rejection,
  rejectionOf,
  Rejections,
  subjectKeyIdsOf,
} from '@waybill/log/internal';
import { armedBy, type TimerAlarm, timerStatements } from '@waybill/timer';
import { type Difference, DifferenceReader, type RejectedRow, type Span } from './difference-reader.js';
import type { RelayTrace } from './relay-trace.js';
import { filledSlots, relayBegin, relayProbe, setAsideRows } from '../statements.generated.js';
import { HandOver } from './hand-over.js';
import { reconcileAlone } from './reconcile.js';
import { type Begun, cursorAfter, intend, type NewPass, newPass, spanOf } from './pass.js';

const SPECS = {
  /** Longest time between two polls of the outbox, in milliseconds; also the latency of messages published in SQL. */
  pollMaxMs: wholeNumber({ default: 100, min: 1, max: 60_000 }),
  /**
   * The same when nothing has been published for a minute, in milliseconds. Publishing in this process, and the announcement of
   * another one, wake the relay; only a message published in SQL waits this long. Not above `pollMaxMs`: always `pollMaxMs`,
   * as it is while signals are not received.
   */
  pollIdleMs: wholeNumber({ default: 1_000, min: 1, max: 60_000 }),
  /**
   * Shortest time between two passes while messages keep coming, in milliseconds: fewer passes with more messages each cost the
   * servers less. Adds to the latency then, by half of it on average. A pass after fewer than five messages does not wait.
   */
  paceMs: wholeNumber({ default: 20, min: 0, max: 1_000 }),
  /** More waiting rows than this are moved in windows, each in its own transaction. */
  smallDifferenceRows: wholeNumber({ default: 5_000, min: 1, max: 100_000 }),
  /** Width of a window, in ids. */
  windowRows: wholeNumber({ default: 5_000, min: 1, max: 100_000 }),
  /** The most bytes of messages that one pass moves; it always moves at least one message. */
  passBytes: wholeNumber({ default: 32 * 1024 * 1024, min: 1_024, max: 512 * 1024 * 1024 }),
  /** Maximum size of a record batch, in bytes. */
  batchBytes: wholeNumber({ default: 1024 * 1024, min: 1_024, max: 16 * 1024 * 1024 }),
  /** A relay that hangs in a pass loses its session, and so its lock, after this time, in milliseconds. */
  leaseMs: wholeNumber({ default: 10_000, min: 100, max: 600_000 }),
  /**
   * What to do when the log holds passes that the service's database does not know, because it was restored or has lost a
   * tail: `stop`, for an operator (`waybill relay reconcile`), or `reconcile` by itself. For the latter the relay's login must
   * own Waybill's tables, and no copy of the database may ever run beside it: a copy would take over as well.
   */
  onDivergence: oneOf(['stop', 'reconcile'], 'stop'),
};

/** Options of a {@link Relay}. */
export type RelayOptions = Given<typeof SPECS>;

/** Dependencies of a {@link Relay}. */
export interface RelayDependencies {
  /** The service's database, with the outbox. */
  readonly database: PgDatabase;
  /** The log, in the same database or elsewhere. */
  readonly log: LogEngine;
  /** Rung when a transaction that has published ends. */
  readonly bell: Bell;
  /** Called with the timers that a pass has scheduled, once it is committed. */
  readonly alarm?: TimerAlarm | undefined;
  /** Traces each pass. Default: none. */
  readonly trace?: RelayTrace;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** After a pass of fewer messages, the next one does not wait. */
const PACED_ROWS = 5;
/** First wait after a pass without work, in milliseconds. */
const IDLE_MIN_MS = 10;
/** Polling interval after a message whose transaction's end cannot be seen, for {@link HINT_MS}. */
const HINT_POLL_MS = 2;
const HINT_MS = 1_000;
/** The most consecutive conflicts for which a pass is simply repeated. */
const MAX_CONFLICTS = 10;

/**
 * Moves committed messages from the outbox to the log, each exactly once and in id order.
 *
 * Its cursor is a snapshot. A pass takes the relay's lock, takes a new snapshot in a later statement, reads the rows
 * that are visible in the new one and not in the cursor, and stores what it takes; then {@link HandOver} gets them into the
 * log. A transaction that commits late is part of a later difference, so none is skipped, and none waits for
 * another. (PgQ's method, M. Kreen 2007; see docs/ARCHITECTURE.md.) A message that cannot be moved is set aside in the
 * same transaction, and does not stop others.
 *
 * Any number of relays may run; the lock lets one work at a time.
 */
export class Relay {
  readonly service: BackgroundService;
  readonly #options;
  readonly #reader: DifferenceReader;
  readonly #handOver: HandOver;
  readonly #logger: Logger;
  /** The cursor, as it was on this server; undefined if rows may be waiting behind it. */
  #base: string | undefined;
  /** When the server of the outbox was started, as far as this relay has seen. */
  #incarnation: number | undefined;
  #hintedAt = -Infinity;
  readonly #pace: IdlePace;
  /** A ring has come since the last poll: most likely messages are waiting, and no probe is needed. */
  #isRung = false;
  readonly #clock: Clock;
  readonly #rejections: Rejections;
  #moved = 0;
  /** When the last pass began, and the messages that it moved. */
  #last = { at: -Infinity, moved: 0 };
  #conflicts = 0;
  /** The most rows per pass while it searches for the row that makes the database refuse a pass. */
  #rowsMax = Infinity;
  #blamed = new Map<number, Rejection>();

  /** @throws ConfigurationError */
  constructor(
    private readonly dependencies: RelayDependencies,
    options: RelayOptions = {},
  ) {
    const { database, log, bell, clock = systemClock } = dependencies;
    const logger = guardLogger(dependencies.logger);
    this.#logger = logger;
    this.#options = resolveOptions('relay', SPECS, options);
    this.#clock = clock;
    this.#rejections = new Rejections(logger, 'be moved');
    this.#reader = new DifferenceReader(log.topics, this.#options);
    this.#handOver = new HandOver({ database, log, reader: this.#reader, clock, logger });
    const { pollMaxMs: busyMs, pollIdleMs: quietMs } = this.#options;
    this.#pace = new IdlePace({ busyMs, quietMs, isAnnounced: () => log.signals.listening, clock });
    bell.onRing((when) => {
      if (when === 'soon') this.#hintedAt = clock.monotonic();
      this.#isRung = true;
      this.#pace.worked();
    });
    // The transaction may still be open: it is found by polling.
    new WorkNotes(database, log.signals.notes, { clock, logger }).onWork(() => bell.ring());
    this.service = new BackgroundService({
      name: 'the relay',
      runOnce: (signal) => this.#look(signal),
      idleMinMs: Math.min(IDLE_MIN_MS, busyMs),
      idleMaxMs: this.#pace,
      bell,
      clock,
      logger,
    });
  }

  /** Messages moved by this relay since its construction. */
  get moved(): number {
    return this.#moved;
  }

  /** Messages that this relay has set aside since its construction, because they cannot be moved. */
  get quarantined(): number {
    return this.#rejections.count;
  }

  async #look(signal: AbortSignal): Promise<PassResult> {
    await this.#rest(signal);
    const result = await this.runOnce();
    if (result === 'idle' && this.#clock.monotonic() - this.#hintedAt < HINT_MS) {
      await this.service.bell.wait(HINT_POLL_MS, signal);
      return 'again';
    }
    return result;
  }

  async #rest(signal: AbortSignal): Promise<void> {
    const { paceMs, smallDifferenceRows } = this.#options;
    const { at, moved } = this.#last;
    const restMs = at + paceMs - this.#clock.monotonic();
    // A backlog is moved at full speed.
    if (restMs > 0 && moved >= PACED_ROWS && moved < smallDifferenceRows)
      await this.#clock.sleep(restMs, signal);
  }

  /** One pass: moves a difference, or a window of a large one. */
  async runOnce(): Promise<PassResult> {
    // What is not certain to be in the log is found out before anything else: a pass must not wait for the next message.
    if (!this.#handOver.isSettled && !(await this.#settle())) return 'idle';
    if (this.#base !== undefined && !this.#isRung) {
      const [probe] = await this.dependencies.database.session.run(relayProbe, this.#base);
      await this.#follow(probe?.incarnation);
      if (probe?.waiting !== true && this.#base !== undefined) {
        await this.#handOver.look();
        return this.#handOver.isSettled ? 'idle' : 'again';
      }
    }
    // Transactions that have rung by now have committed: this pass sees them.
    this.#isRung = false;
    this.#last = { at: this.#clock.monotonic(), moved: 0 };
    return this.dependencies.database.withConnection(async (connection) => {
      try {
        return await this.#pass(connection);
      } catch (error) {
        await connection.rollback();
        // Whether a COMMIT with a lost answer took effect is for the database and the log to say.
        this.#handOver.doubt();
        // Another relay has been faster; the next pass begins from its cursor.
        if (isWaybillError(error) && error.code === 'FENCED') return 'again';
        // A timer was moved while being cancelled.
        if (isTransactionConflict(error) && this.#conflicts < MAX_CONFLICTS) {
          this.#conflicts += 1;
          return 'again';
        }
        throw error;
      }
    });
  }

  async #settle(): Promise<boolean> {
    try {
      return await this.#handOver.settle();
    } catch (error) {
      const isDiverged = isWaybillError(error) && error.code === 'SOURCE_DIVERGED';
      if (!isDiverged || this.#options.onDivergence !== 'reconcile') throw error;
      await reconcileAlone({ ...this.dependencies, logger: this.#logger });
      return await this.#handOver.settle();
    }
  }

  /**
   * Notes the server of the outbox. Another one, or the same one started again, may lack what was committed last: then the
   * cursor says nothing about its transaction ids, which it gives out again, and log and outbox may disagree.
   * @returns whether it is another one
   */
  async #follow(incarnation: number | undefined): Promise<boolean> {
    const isMoved = this.#incarnation !== undefined && this.#incarnation !== incarnation;
    if (isMoved) {
      this.#base = undefined;
      this.#handOver.doubt();
      await this.dependencies.log.topics.tellAgain();
    }
    this.#incarnation = incarnation;
    return isMoved;
  }

  /** Waits until all that this relay has sent to the log is answered, or has failed. */
  drain(): Promise<void> {
    return this.#handOver.drain();
  }

  async #pass(connection: PgConnection): Promise<PassResult> {
    const { smallDifferenceRows, leaseMs } = this.#options;
    const begin = bindStatement(relayBegin, smallDifferenceRows, leaseMs);
    // After the pass has its snapshot: what is visible in that is in a slot that is not empty now.
    const [rows, filled] = await connection.runBatch([begin, bindStatement(filledSlots)], { begin: true });
    const begun = (rows as Begun[])[0];
    invariant(begun !== undefined, 'relay_begin returned no row');
    if (begun.state === 'busy') {
      await connection.rollback();
      return 'idle';
    }
    const isMoved = await this.#follow(begun.incarnation);
    if (isMoved || !this.#handOver.follows(begun)) {
      await connection.rollback();
      this.#handOver.doubt();
      return 'again';
    }
    if (begun.state === 'idle') {
      await connection.rollback();
      this.#base = begun.base;
      return 'idle';
    }
    const trace = this.dependencies.trace?.begin();
    const { slots } = (filled as { slots: number[] }[])[0] ?? {};
    const span = { ...spanOf(begun, this.#reader.windowWidth), slots };
    const rowsMax = this.#rowsMax;
    try {
      const difference = await this.#reader.read(connection, span, { trace, rowsMax, blamed: this.#blamed });
      const { rejected } = difference;
      // A topic may have been created, or removed, since they were read.
      const { topics } = this.dependencies.log;
      if (rejected.length > 0 && ((await topics.restore()) || (await learnsOfTopics(topics, rejected)))) {
        await connection.rollback();
        return 'again';
      }
      try {
        await this.#move(connection, newPass(begun, span, difference), span, difference);
      } catch (error) {
        await connection.rollback();
        if (!(await this.#blame(error, difference))) throw error;
        return 'again';
      }
      trace?.moved(difference.moved);
      return 'again';
    } catch (error) {
      trace?.failed(error);
      throw error;
    }
  }

  async #move(connection: PgConnection, pass: NewPass, span: Span, difference: Difference): Promise<void> {
    const { batches, timers, moved, rejected } = difference;
    const { within } = this.#handOver;
    const intention = intend(pass, within === undefined ? this.#handOver.answeredN : pass.n);
    const aside = rejected.length > 0 ? [setAside(rejected, span)] : [];
    const handOver = within?.(this.#handOver.sourcePass(pass), batches);
    const append = handOver?.statements ?? [];
    const keyIds = within === undefined ? subjectKeyIdsOf(batches) : [];
    const keys = keyIds.length > 0 ? [bindStatement(readSubjectKeys, keyIds)] : [];
    const changes = timerStatements(timers);
    const statements = [intention, ...changes, ...aside, ...keys, ...append];
    const results = await connection.runBatch(statements, { commit: true });
    this.#conflicts = 0;
    this.#rowsMax = this.#rowsMax < this.#options.smallDifferenceRows ? this.#rowsMax * 2 : Infinity;
    this.#blamed.clear();
    if (changes.length > 0) this.dependencies.alarm?.armed(armedBy(results.slice(1, 1 + changes.length)));
    this.#base = cursorAfter(pass);
    handOver?.committed(results.slice(statements.length - append.length));
    const read = keys.length > 0 ? (results[statements.length - 1] as WrappedKey[]) : [];
    await this.#handOver.committed(pass, batches, read);
    this.#moved += moved;
    this.#last.moved = moved;
    this.#pace.worked();
    this.#rejections.note(rejected);
  }

  /**
   * Searches for the row that makes the database refuse a pass: each next pass takes half of the rows, down to one,
   * which is then set aside. Topics are read again first, since one may have been removed.
   * @returns false when no row is the cause
   */
  async #blame(error: unknown, { moved, rejected, lastId }: Difference): Promise<boolean> {
    const rows = moved + rejected.length;
    if (!blamesMessage(error) || this.#blamed.has(lastId)) return false;
    await this.dependencies.log.topics.list();
    if (rows === 1) this.#blamed.set(lastId, rejectionOf(error));
    else this.#rowsMax = Math.ceil(rows / 2);
    return true;
  }
}

function setAside(rejected: readonly RejectedRow[], { base, target }: Span): BoundStatement {
  return bindStatement(
    setAsideRows,
    rejected.map(({ rowId }) => rowId),
    rejected.map(({ code }) => code),
    rejected.map(({ reason }) => reason),
    base,
    target,
  );
}
