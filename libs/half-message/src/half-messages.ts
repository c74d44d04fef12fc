import {
  type Clock,
  ConfigurationError,
  describeError,
  type Given,
  HalfMessageOpenError,
  invariant,
  isInfrastructureFailure,
  type Logger,
  MessageInvalidError,
  newId,
  type Resolved,
  resolveOptions,
  type SqlSession,
  systemClock,
  wholeNumber,
  type PgTransactionHandle,
} from '@waybill/kernel';
import { isTransactionConflict, guardLogger } from '@waybill/kernel/internal';
import {
  type ControlMessage,
  type EncodedMessage,
  type EncodeOptions,
  joinTransaction,
  type Message,
  type TransactionHandle,
} from '@waybill/outbox';
import type { MessagesOfHalf, PreparedHalf } from './half-message.js';
import {
  type DecisionOutcome,
  HalfStore,
  type HalfStoreDependencies,
  type StoredHalf,
} from './half-store.js';
import { type LocalDatabase, LocalDatabases, type LocalMark } from './local-database.js';

const DAY_MS = 86_400_000;

/** Options that may be set for all half messages and for one. */
const HALF_SPECS = {
  /** How long after its preparation a half message is not checked, in milliseconds. */
  checkImmunityMs: wholeNumber({ default: 6_000, min: 0, max: 30 * DAY_MS }),
  /** Wait after the first UNKNOWN, in milliseconds; it doubles with each further one. */
  checkIntervalMs: wholeNumber({ default: 30_000, min: 1, max: DAY_MS }),
  /** Number of UNKNOWN results after which it becomes undecided and is left to an operator. */
  checkMax: wholeNumber({ default: 15, min: 1, max: 1_000 }),
  /** Time after preparation, in milliseconds, after which a check without a verdict makes it undecided. 0: never. */
  deadlineMs: wholeNumber({ default: 0, min: 0, max: 3_650 * DAY_MS }),
};

const SPECS = {
  ...HALF_SPECS,
  /** How long a commit or rollback without a response is retried, in milliseconds, before it is left to check-back. */
  resolveMs: wholeNumber({ default: 5_000, min: 0, max: 600_000 }),
};

/** Options of one half message. */
export type HalfMessageOptions = Given<typeof HALF_SPECS>;

/** Options of a half message that the caller prepares directly. */
export type PrepareOptions = HalfMessageOptions & {
  /** Name of the local database whose transaction passes the barrier; see {@link HalfMessages.pass}. Default: none. */
  readonly barrier?: string;
};

/** Options of {@link HalfMessages}. */
export type HalfMessagesOptions = Given<typeof SPECS>;

/** Options of a half message whose local transaction is looked up by its id. */
export type XactStatusOptions = HalfMessageOptions & {
  /** Whether it also passes the barrier, because its id cannot be looked up after a failover. Default false. */
  readonly barrier?: boolean;
};

/** What {@link HalfMessages} work with. */
export interface HalfMessagesDependencies extends HalfStoreDependencies {
  /** The producer group: any of its processes may check half messages of the others. */
  readonly group: string;
  /** Checks and encodes a message; see Outbox.encode. */
  readonly encode: (message: Message, options?: EncodeOptions) => EncodedMessage;
  readonly databases?: LocalDatabases;
  readonly logger?: Logger | undefined;
}

/** A half whose local transaction runs in a local database. */
interface LocalHalf {
  readonly stored: StoredHalf;
  readonly mark: LocalMark;
}

/** Maximum number of messages in one half. */
const MAX_MESSAGES = 1_000;
const LOCAL_TIMEOUT_MS = 30_000;
const RESOLVE_MIN_MS = 50;
const RESOLVE_STEP_MAX_MS = 1_000;

/**
 * Messages about work outside of the log's database: they are stored first and invisible (prepared), then the work is
 * done, then they are delivered (committed) or discarded (rolled back). If a crash or a network failure leaves one
 * open, {@link HalfMessageChecker} checks it in any process of the producer group.
 *
 * If the work is in the log's database, the outbox is simpler and faster.
 */
export class HalfMessages {
  readonly group: string;
  /** What the checker and operators decide with. */
  readonly store: HalfStore;
  readonly #options;
  readonly #dependencies: HalfMessagesDependencies;
  readonly #databases: LocalDatabases;
  readonly #clock: Clock;
  readonly #logger: Logger;

  /** @throws ConfigurationError */
  constructor(dependencies: HalfMessagesDependencies, options: HalfMessagesOptions = {}) {
    this.#options = resolveOptions('half messages', SPECS, options);
    this.#dependencies = dependencies;
    this.group = dependencies.group;
    this.store = new HalfStore(dependencies);
    this.#databases = dependencies.databases ?? new LocalDatabases();
    this.#clock = dependencies.clock ?? systemClock;
    this.#logger = guardLogger(dependencies.logger);
  }

  /**
   * Stores messages, invisible and on disk. Start the local transaction afterwards, and end it before `commit`.
   * @throws MessageInvalidError, MessageTooLargeError, PayloadNotSerializableError, TopicUnknownError, ConfigurationError
   */
  async prepare(messages: MessagesOfHalf, options: PrepareOptions = {}): Promise<PreparedHalf> {
    const { barrier, ...rest } = options;
    return prepared(await this.#prepare(newId(), messages, rest, await this.#markFor(barrier)));
  }

  /** As {@link prepare}, for Waybill's own messages. */
  async prepareControl(
    messages: readonly ControlMessage[],
    options: PrepareOptions = {},
  ): Promise<PreparedHalf> {
    const { barrier, ...rest } = options;
    const mark = await this.#markFor(barrier);
    const encode = ({ control, hasUserKey = false, ...message }: ControlMessage): EncodedMessage =>
      this.#dependencies.encode(message, { control, hasUserKey });
    return prepared(await this.#store(newId(), messages.map(encode), rest, mark));
  }

  async #markFor(barrier: PrepareOptions['barrier']): Promise<LocalMark | null> {
    if (barrier === undefined) return null;
    return { ...(await this.#databases.describe(this.#databases.get(barrier))), barrier: true };
  }

  /**
   * Passes the barrier as the first write of a local transaction of the caller's; needs the option `barrier`.
   * @throws TransactionRequiredError, BarrierRefusedError
   */
  async pass(tx: TransactionHandle, half: Pick<PreparedHalf, 'id'>, database: string): Promise<void> {
    const { schema } = this.#databases.get(database).session;
    await this.#databases.pass(joinTransaction(tx, schema, false).session, half.id);
  }

  /**
   * Delivers the messages of a half; a second call has no further effect. If the response is lost, it is retried.
   * @returns whether this call committed it, or it was already committed
   * @throws HalfMessageDecidedError if it was rolled back, NotFoundError
   * @throws HalfMessageOpenError if the database could not be reached within `resolveMs`; check-back then decides
   */
  async commit(id: string): Promise<'done' | 'already'> {
    return this.#end(id, () => this.store.decide(id, { verdict: 'commit', by: 'producer' }));
  }

  /** Discards the messages of a half; results and errors as of {@link commit}. */
  async rollback(id: string): Promise<'done' | 'already'> {
    return this.#end(id, () => this.store.decide(id, { verdict: 'rollback', by: 'producer' }));
  }

  /**
   * Prepares, does the work, and commits; if the work throws, rolls back and rethrows. Check-back uses a check of the
   * user's. Work that throws because a database was lost may have taken effect: it is left to check-back.
   *
   * @returns what the work resolves to
   * @throws what the work throws; errors of {@link prepare} and {@link commit}
   */
  async execute<T>(
    messages: MessagesOfHalf,
    work: (half: PreparedHalf) => Promise<T>,
    options: HalfMessageOptions = {},
  ): Promise<T> {
    const half = await this.#prepare(newId(), messages, options, null);
    let result: T;
    try {
      result = await work(prepared(half));
    } catch (error) {
      if (isInfrastructureFailure(error) && !isTransactionConflict(error)) {
        const why = 'a database was lost during its local work, which may have taken effect';
        throw new HalfMessageOpenError(half.id, why, { cause: error });
      }
      await this.#rollbackBecause(half.id, error);
      throw error;
    }
    await this.#end(half.id, () => this.store.commitStored(half));
    return result;
  }

  /**
   * As {@link execute}, with the work in a transaction of a local database that passes the barrier first: check-back
   * needs no code of the user's and is always right. The database needs Waybill's migrations.
   *
   * @param database a local database of this process, or its name
   * @throws BarrierRefusedError if check-back rolled it back before it reached the barrier
   */
  async executeWithBarrier<Handle = PgTransactionHandle, T = unknown>(
    messages: MessagesOfHalf,
    database: LocalDatabase<Handle> | string,
    work: (tx: Handle, half: PreparedHalf) => Promise<T>,
    options: HalfMessageOptions = {},
  ): Promise<T> {
    const local = this.#local(database);
    const mark = { ...(await this.#databases.describe(local)), barrier: true };
    const stored = await this.#prepare(newId(), messages, options, mark);
    return this.#executeLocally(
      local,
      async (session, handle) => {
        await this.#databases.pass(session, stored.id);
        return work(handle as Handle, prepared(stored));
      },
      () => ({ stored, mark }),
    );
  }

  /**
   * As {@link execute}, with the work in a PostgreSQL transaction that check-back looks up by its id
   * (`pg_xact_status`): the database needs nothing of Waybill's. The result is valid on the transaction's cluster and
   * timeline; after a failover, check-back uses the barrier, if requested, or a check of the user's.
   *
   * @param database a local database of this process, or its name
   */
  async executeWithXactStatus<Handle = PgTransactionHandle, T = unknown>(
    messages: MessagesOfHalf,
    database: LocalDatabase<Handle> | string,
    work: (tx: Handle, half: PreparedHalf) => Promise<T>,
    options: XactStatusOptions = {},
  ): Promise<T> {
    const { barrier = false, ...rest } = options;
    const local = this.#local(database);
    const described = await this.#databases.describe(local);
    if (local.transactions.session === this.#dependencies.database.session)
      throw new ConfigurationError('A half message cannot be prepared within its local transaction', [
        `the transactions of ${local.name} and the bus share a pool of connections`,
      ]);
    let half: LocalHalf | undefined;
    return this.#executeLocally(
      local,
      async (session, handle) => {
        const transaction = await this.#databases.markTransaction(local, session);
        const mark = { ...described, barrier, transaction };
        const stored = await this.#prepare(newId(), messages, rest, mark);
        half = { stored, mark };
        if (barrier) await this.#databases.pass(session, stored.id);
        return work(handle as Handle, prepared(stored));
      },
      () => half,
    );
  }

  #local<Handle>(database: LocalDatabase<Handle> | string): LocalDatabase {
    return this.#databases.get(typeof database === 'string' ? database : database.name);
  }

  async #prepare(
    id: string,
    messages: MessagesOfHalf,
    options: HalfMessageOptions,
    local: LocalMark | null,
  ): Promise<StoredHalf> {
    const given = Array.isArray(messages) ? (messages as readonly Message[]) : [messages as Message];
    if (given.length === 0 || given.length > MAX_MESSAGES) {
      const problem = `its half message must hold 1 to ${MAX_MESSAGES} messages, got ${given.length}`;
      throw new MessageInvalidError(id, given[0]?.topic ?? '(none)', problem);
    }
    const encoded = given.map((message) => this.#dependencies.encode(message));
    return this.#store(id, encoded, options, local);
  }

  async #store(
    id: string,
    encoded: readonly EncodedMessage[],
    options: HalfMessageOptions,
    local: LocalMark | null,
  ): Promise<StoredHalf> {
    const { checkImmunityMs, checkIntervalMs, checkMax, deadlineMs } = this.#resolve(options);
    if (this.group === '')
      throw new ConfigurationError('A half message cannot be prepared', [
        'no producer group is set, so no process could check it: set group',
      ]);
    return this.store.prepare({
      id,
      group: this.group,
      encoded,
      immunityMs: checkImmunityMs,
      deadlineMs: deadlineMs === 0 ? null : deadlineMs,
      intervalMs: checkIntervalMs,
      checkMax,
      local,
    });
  }

  #resolve(options: HalfMessageOptions): Resolved<typeof HALF_SPECS> {
    const { resolveMs: _, ...byDefault } = this.#options;
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    return resolveOptions('half message', HALF_SPECS, { ...byDefault, ...given });
  }

  /** @param current the half, once it is prepared */
  async #executeLocally<T>(
    local: LocalDatabase,
    begun: (session: SqlSession, handle: unknown) => Promise<T>,
    current: () => LocalHalf | undefined,
  ): Promise<T> {
    let worked: { readonly result: T } | undefined;
    try {
      await local.transactions.run({
        work: async ({ session, handle }) => {
          worked = { result: await begun(session, handle) };
        },
        timeoutMs: local.timeoutMs ?? LOCAL_TIMEOUT_MS,
      });
    } catch (error) {
      const half = current();
      if (half === undefined) throw error;
      // COMMIT is sent only after the work: if the work has not ended, nothing has taken effect.
      if (worked === undefined || (await this.#askLocally(half, error)) === 'rollback') {
        await this.#rollbackBecause(half.stored.id, error);
        throw error;
      }
    }
    const half = current();
    invariant(half !== undefined && worked !== undefined, 'local work has ended that never started');
    await this.#end(half.stored.id, () => this.store.commitStored(half.stored));
    return worked.result;
  }

  /** How a local transaction has ended if its COMMIT failed or got no response. @throws HalfMessageOpenError */
  async #askLocally({ stored, mark }: LocalHalf, cause: unknown): Promise<'commit' | 'rollback'> {
    const verdict = await this.#retry(async () => {
      const result = await this.#databases.ask(stored.id, mark);
      return result.verdict === 'open' ? undefined : result.verdict;
    });
    if (verdict === 'commit' || verdict === 'rollback') return verdict;
    const why = 'the response to the COMMIT of its local transaction was lost';
    throw new HalfMessageOpenError(stored.id, why, { cause });
  }

  /** Commits or rolls back a half, with retries. */
  async #end(id: string, decide: () => Promise<DecisionOutcome>): Promise<'done' | 'already'> {
    let cause: unknown;
    const outcome = await this.#retry(decide, (error) => (cause = error));
    if (outcome === undefined) {
      const why = `its outcome could not be written to the database (${describeError(cause)})`;
      throw new HalfMessageOpenError(id, why, { cause });
    }
    return outcome === 'done' ? 'done' : 'already';
  }

  /** Rolls a half back because of an error that is rethrown; if that fails, it is left to check-back. */
  async #rollbackBecause(id: string, error: unknown): Promise<void> {
    try {
      await this.rollback(id);
    } catch (failure) {
      this.#logger.error(`could not roll back half message ${id}: ${describeError(failure)}`, {
        because: describeError(error),
      });
    }
  }

  /** Retries for `resolveMs` until there is a result, while only the database fails. */
  async #retry<T>(
    attempt: () => Promise<T | undefined>,
    failed: (error: unknown) => void = () => {},
  ): Promise<T | undefined> {
    const until = this.#clock.monotonic() + this.#options.resolveMs;
    for (let wait = RESOLVE_MIN_MS; ; wait = Math.min(wait * 2, RESOLVE_STEP_MAX_MS)) {
      try {
        const result = await attempt();
        if (result !== undefined) return result;
      } catch (error) {
        if (!isInfrastructureFailure(error)) throw error;
        failed(error);
      }
      if (this.#clock.monotonic() + wait > until) return undefined;
      await this.#clock.sleep(wait);
    }
  }
}

function prepared({ id, preparedMs }: StoredHalf): PreparedHalf {
  return { id, preparedAt: new Date(preparedMs) };
}
