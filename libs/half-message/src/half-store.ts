import {
  Bell,
  type BoundStatement,
  bindStatement,
  type Clock,
  HalfMessageDecidedError,
  HalfMessageOpenError,
  invariant,
  isWaybillError,
  NotFoundError,
  type PgDatabase,
  systemClock,
} from '@waybill/kernel';
import { sqlStateOf } from '@waybill/kernel/internal';
import { type MessageSink, type MessageToCollect, type SinkDependencies, sinkFor } from '@waybill/log';
import { blamesMessage } from '@waybill/log/internal';
import type { EncodedMessage } from '@waybill/outbox';
import { armedBy, type TimerAlarm, timerStatements } from '@waybill/timer';
import { deliveryOf, type HalfContent, restoreContent, storeContent } from './half-content.js';
import { STATE } from './half-message.js';
import type { LocalMark } from './local-database.js';
import { commitPreparedHalves, decideHalf, prepareHalf } from './statements.generated.js';

/** A commit that waits for its transaction. */
interface WaitingCommit {
  readonly half: StoredHalf;
  readonly resolve: (outcome: DecisionOutcome) => void;
  readonly reject: (error: Error) => void;
}

/** What a {@link HalfStore} works with. */
export interface HalfStoreDependencies {
  /** The database that stores the half messages. */
  readonly database: PgDatabase;
  /** The log, in the same database: its appends are part of the commits of half messages. */
  readonly log: SinkDependencies['log'];
  /** Rung when committed messages wait in the outbox. */
  readonly bell?: Bell | undefined;
  /** Called for delayed messages that were committed; without it, their timers are found by polling. */
  readonly alarm?: TimerAlarm | undefined;
  readonly clock?: Clock | undefined;
}

/** A half message to store. Times in milliseconds. */
export interface HalfToStore {
  readonly id: string;
  readonly group: string;
  readonly encoded: readonly EncodedMessage[];
  readonly immunityMs: number;
  readonly deadlineMs: number | null;
  readonly intervalMs: number;
  readonly checkMax: number;
  readonly local: LocalMark | null;
}

/** A half message whose content this process still has. */
export interface StoredHalf {
  readonly id: string;
  readonly encoded: readonly EncodedMessage[];
  /** By the database's clock. */
  readonly preparedMs: number;
  /** By this process' monotonic clock. */
  readonly storedAt: number;
}

/** A decision: the verdict, its origin, and the states it applies to. */
export interface Decision {
  readonly verdict: 'commit' | 'rollback';
  /** `producer`, `check`, `tombstone`, `xact-status`, or an operator's name. */
  readonly by: string;
  readonly reason?: string | undefined;
  /** The claim under which a check returned. */
  readonly epoch?: number;
  /** Default: prepared and undecided ones. */
  readonly from?: readonly number[];
  /** Runs in the same transaction. */
  readonly audit?: BoundStatement;
}

/** The outcome of a decision; `already`: the same decision was made before, and this call did nothing. */
export type DecisionOutcome = 'done' | 'already' | 'fenced';

const OPEN = [STATE.prepared, STATE.undecided];
/** Maximum number of half messages, and bytes of their payloads, that share a transaction. */
const TOGETHER_HALVES = 200;
const TOGETHER_BYTES = 4 * 1024 * 1024;
/** Raised by half_commit_prepared, and when a topic or partition no longer exists. */
const OF_ONE: ReadonlySet<string> = new Set(['WB008', 'TOPIC_UNKNOWN', 'MESSAGE_INVALID']);

/** Half messages in the database: each decision is a transaction, or a part of one. */
export class HalfStore {
  /** Rung when this process has prepared a half message. */
  readonly stir = new Bell();
  readonly #clock: Clock;
  readonly #sink: MessageSink;
  readonly #waiting: WaitingCommit[] = [];
  #committing = false;

  constructor(private readonly dependencies: HalfStoreDependencies) {
    this.#clock = dependencies.clock ?? systemClock;
    this.#sink = sinkFor(dependencies);
  }

  /** @throws TopicUnknownError, MessageInvalidError */
  async prepare(half: HalfToStore): Promise<StoredHalf> {
    const { id, group, encoded, immunityMs, deadlineMs, intervalMs, checkMax, local } = half;
    const { messages, payloads } = storeContent(encoded);
    const { session } = this.dependencies.database;
    for (const { keepSubject } of encoded)
      if (keepSubject !== null) await session.run(keepSubject.statement, ...keepSubject.params);
    const [row] = await session.run(
      prepareHalf,
      id,
      group,
      immunityMs,
      deadlineMs,
      intervalMs,
      checkMax,
      local && JSON.stringify(local),
      messages,
      payloads,
    );
    invariant(row !== undefined, `preparing half message ${id} returned no row`);
    this.stir.ring();
    return { id, encoded, preparedMs: row.nowMs, storedAt: this.#clock.monotonic() };
  }

  /**
   * Commits a half whose content is known. Commits that arrive while the previous such transaction runs share the next
   * one: otherwise each would hold its partitions' locks during a separate flush to disk.
   * @throws as {@link decide}
   */
  async commitStored(half: StoredHalf): Promise<DecisionOutcome> {
    // Delays count by the database's clock, which has to be read first.
    if (half.encoded.some(({ times }) => times !== null))
      return this.decide(half.id, { verdict: 'commit', by: 'producer' });
    return new Promise((resolve, reject) => {
      this.#waiting.push({ half, resolve, reject });
      void this.#commitWaiting();
    });
  }

  /** Never throws: it settles each waiting commit. */
  async #commitWaiting(): Promise<void> {
    if (this.#committing) return;
    this.#committing = true;
    while (this.#waiting.length > 0) {
      const together = this.#takeWaiting();
      try {
        await this.#commitTogether(together.map(({ half }) => half));
        for (const { resolve } of together) resolve('done');
      } catch (error) {
        // One of them is no longer prepared or cannot be delivered: each is then committed separately to find out
        // which, and why.
        const isOfOne =
          blamesMessage(error) || (isWaybillError(error) && OF_ONE.has(sqlStateOf(error) ?? error.code));
        for (const { half, resolve, reject } of together) {
          if (isOfOne) this.decide(half.id, { verdict: 'commit', by: 'producer' }).then(resolve, reject);
          else reject(error as Error);
        }
      }
    }
    this.#committing = false;
  }

  /** The next commits in order of arrival: as many as fit into one transaction, and at least one. */
  #takeWaiting(): WaitingCommit[] {
    let bytes = 0;
    const end = this.#waiting.findIndex(({ half }, index) => {
      for (const { payload } of half.encoded) bytes += payload.length;
      return index > 0 && (index === TOGETHER_HALVES || bytes > TOGETHER_BYTES);
    });
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end);
  }

  async #commitTogether(halves: readonly StoredHalf[]): Promise<void> {
    const now = this.#clock.monotonic();
    const records = halves.flatMap(
      ({ encoded, preparedMs, storedAt }) =>
        deliveryOf(encoded, Math.floor(preparedMs + now - storedAt)).records,
    );
    const ids = halves.map(({ id }) => id);
    await this.#sink.ready();
    const sending = await this.#collect(records);
    const statements = [bindStatement(commitPreparedHalves, ids, 'producer'), ...sending];
    await this.dependencies.database.withConnection(async (connection) => {
      try {
        await connection.runBatch(statements, { begin: true, commit: true });
      } catch (error) {
        await connection.rollback();
        throw error;
      }
    });
    this.#sink.sent();
  }

  /**
   * Decides on a half, and delivers its messages in the same transaction if it is committed.
   * @throws NotFoundError, HalfMessageDecidedError if it was decided differently, HalfMessageOpenError if it is not in
   * one of the states `from`
   */
  async decide(id: string, decision: Decision): Promise<DecisionOutcome> {
    const { verdict, by, reason = null, epoch = null, from = OPEN, audit } = decision;
    const wanted = verdict === 'commit' ? STATE.committed : STATE.rolledBack;
    const claim = bindStatement(decideHalf, id, wanted, by, reason, epoch, from);
    // Not within the transaction: decisions that hold all connections would wait for one more.
    if (verdict === 'commit') await this.#sink.ready();
    return this.dependencies.database.withConnection(async (connection) => {
      try {
        const [rows] = await connection.runBatch([claim], { begin: true });
        const row = (rows as DecisionRow[])[0];
        invariant(row !== undefined, `deciding on half message ${id} returned no row`);
        const { outcome } = row;
        if (outcome !== 'done') {
          await connection.rollback();
          return refuseUnless(id, row);
        }
        const delivery = verdict === 'commit' ? deliveryOf(contentOf(row), row.nowMs ?? 0) : undefined;
        const timers = timerStatements(delivery?.timers ?? []);
        const sending = await this.#collect(delivery?.records ?? []);
        const before = [...(audit === undefined ? [] : [audit]), ...timers];
        const results = await connection.runBatch([...before, ...sending], { commit: true });
        if (sending.length > 0) this.#sink.sent();
        if (timers.length > 0) this.dependencies.alarm?.armed(armedBy(results.slice(0, before.length)));
        return outcome;
      } catch (error) {
        await connection.rollback();
        throw error;
      }
    });
  }

  async #collect(records: readonly MessageToCollect[]): Promise<BoundStatement[]> {
    if (records.length === 0) return [];
    return this.#sink.collect(async (add) => records.forEach((record) => add(record)));
  }
}

interface DecisionRow {
  readonly outcome: 'done' | 'already' | 'refused' | 'fenced' | 'open' | 'missing';
  readonly state: number | null;
  readonly decidedBy: string | null;
  readonly nowMs: number | null;
  readonly messages: string | null;
  readonly payloads: readonly Buffer[] | null;
}

function contentOf({ messages, payloads }: DecisionRow): EncodedMessage[] {
  const content: HalfContent = { messages: messages ?? '[]', payloads: payloads ?? [] };
  return restoreContent(content);
}

function refuseUnless(id: string, { outcome, state, decidedBy }: DecisionRow): DecisionOutcome {
  if (outcome === 'missing') throw new NotFoundError(`half message ${id}`);
  if (outcome === 'open')
    throw new HalfMessageOpenError(
      id,
      'it is still being checked back; operators decide only on undecided ones',
    );
  if (outcome === 'refused') {
    const name = state === STATE.committed ? 'committed' : 'rolled-back';
    throw new HalfMessageDecidedError(id, name, decidedBy ?? 'unknown');
  }
  return outcome;
}
