import {
  BackgroundService,
  type Given,
  IdlePace,
  isWaybillError,
  type Logger,
  type PassResult,
  resolveOptions,
  silentLogger,
  type SqlSession,
  type TransactionRunner,
  wholeNumber,
} from '@waybill/kernel';
import { own } from '@waybill/kernel/internal';
import type { Headers } from '@waybill/consumer';
import { Sealer } from '@waybill/log';
import { openMessage, sealMessage } from '@waybill/log/internal';
import { type Codec, type ControlMessage, jsonCodec } from '@waybill/outbox';
import type { Replies, ReplyTransaction } from './replies.js';
import { assertEntity, heldEntities, type SagaLock, type SagaLockFilter } from './held-entities.js';
import { SagaRejectedError } from '../machine/saga-rejected-error.js';
import {
  holdEntity,
  releaseEntities,
  stashCommand,
  takeExpiredCommands,
  wakeCommands,
} from '../statements.generated.js';

const SPECS = {
  /** How long a command waits for an entity that another saga holds before it is rejected, in milliseconds. */
  waitMs: wholeNumber({ default: 30_000, min: 10, max: 30 * 86_400_000 }),
  /** Largest number of commands that wait for one entity; more are rejected at once. */
  maxWaiting: wholeNumber({ default: 100, min: 1, max: 100_000 }),
  /** Interval between two checks for commands that have waited too long, in milliseconds. */
  sweepMs: wholeNumber({ default: 1_000, min: 10, max: 600_000 }),
  /** The same when no command has had to wait for a minute, in milliseconds. Not above `sweepMs`: always `sweepMs`. */
  sweepIdleMs: wholeNumber({ default: 5_000, min: 10, max: 600_000 }),
};

/** Options of {@link SagaLocks}. */
export type SagaLockOptions = Given<typeof SPECS>;

/** A saga, as seen by a participant. */
export interface SagaBranch {
  readonly sagaId: string;
  readonly branch: string;
}

/** A command that waits for an entity. */
export interface StashedCommand {
  readonly topic: string;
  readonly key: string | null;
  readonly headers: Headers;
  readonly control: Headers;
  readonly payload: unknown;
  /** The subject of its data, if any. */
  readonly subject: string | null;
}

/** How waiting commands are stored. */
export interface StashRules {
  readonly codecs: Readonly<Record<string, Codec>>;
  readonly sealer: Sealer;
}

/** The entity is held by another saga: the command waits. Caught by {@link SagaCommandServer}. */
export class SagaEntityHeldError extends Error {
  override readonly name = 'SagaEntityHeldError';

  constructor(readonly entity: string) {
    super(`${entity} is held by another saga`);
  }
}

/** A waiting command, as stored in its row. */
interface StashRow {
  readonly topic: string;
  readonly key: string | null;
  readonly headers: string;
  readonly control: string;
  readonly payload: Buffer | null;
}

/** Placeholder for the id of a waiting message: it gets a new one when it is sent again. */
const STASHED = 'stashed';
const SWEEP_COMMANDS = 100;
const SWEEP_TIMEOUT_MS = 30_000;

/**
 * Semantic locks of a participant (after C. Richardson, Microservices Patterns, 4.3): an entity that a saga works on is
 * held by that saga until it is released, since between two steps no database lock does so. Commands of other sagas
 * wait in the participant's database and are delivered again when it is released; after `waitMs` they are rejected, which also
 * resolves a deadlock.
 */
export class SagaLocks {
  readonly #options;
  readonly #pace: IdlePace;
  /** The branches that hold something, by the session of the transaction in which they took it. */
  readonly #taken = new WeakMap<SqlSession, Set<string>>();

  constructor(
    private readonly replies: Replies,
    options: SagaLockOptions = {},
    private readonly rules: StashRules = { codecs: {}, sealer: Sealer.none },
  ) {
    this.#options = resolveOptions("sagas' locks", SPECS, options);
    const { sweepMs: busyMs, sweepIdleMs: quietMs } = this.#options;
    this.#pace = new IdlePace({ busyMs, quietMs, isAnnounced: () => true });
  }

  /**
   * Holds an entity for the saga of a command, in the command's transaction. It is released by {@link release}, when the step
   * is compensated, and when the saga has ended.
   *
   * @throws SagaEntityHeldError when another saga holds it: do not catch it
   * @throws ConfigurationError for an invalid name
   */
  async hold(session: SqlSession, { sagaId, branch }: SagaBranch, entity: string): Promise<void> {
    assertEntity(entity);
    const [row] = await session.run(holdEntity, entity, sagaId, branch);
    if (row?.held !== true) throw new SagaEntityHeldError(entity);
    const taken = this.#taken.get(session) ?? new Set();
    this.#taken.set(session, taken.add(`${sagaId}/${branch}`));
  }

  /** Whether a branch has taken something in the transaction of this session: it is released when its saga ends. */
  hasTaken(session: SqlSession, { sagaId, branch }: SagaBranch): boolean {
    return this.#taken.get(session)?.has(`${sagaId}/${branch}`) === true;
  }

  /** Releases what a saga holds here: an entity, what a branch has taken, or all. Commands that wait for it are delivered again. */
  async release(
    transaction: ReplyTransaction,
    sagaId: string,
    only: { readonly entity?: string; readonly branch?: string } = {},
  ): Promise<void> {
    const { session } = transaction;
    await this.#sendAgain(
      transaction,
      await session.run(releaseEntities, sagaId, only.branch ?? null, only.entity ?? null),
    );
  }

  async #sendAgain(transaction: ReplyTransaction, rows: readonly StashRow[]): Promise<void> {
    const messages: ControlMessage[] = [];
    for (const row of rows) messages.push(...(await this.#unstashed(transaction.session, row)));
    if (messages.length > 0) await this.replies.send(transaction, messages);
  }

  /** @returns the command; empty when its subject was erased */
  async #unstashed(session: SqlSession, row: StashRow): Promise<ControlMessage[]> {
    const { topic, key, control } = row;
    const stored = { ...row, id: STASHED, headers: JSON.parse(row.headers) as Headers };
    try {
      const { sealer } = this.rules;
      const opened = await openMessage(sealer, session, stored, `a waiting command to ${topic}`);
      const { headers, payload, subject } = opened;
      const value = payload === null ? null : this.#codecOf(topic).decode(payload);
      return [{ topic, key, headers, control: JSON.parse(control) as Headers, payload: value, subject }];
    } catch (error) {
      if (isWaybillError(error) && error.code === 'SUBJECT_ERASED') return [];
      throw error;
    }
  }

  #codecOf(topic: string): Codec {
    return own(this.rules.codecs, topic) ?? jsonCodec;
  }

  /** Stores a command until an entity is released. @throws SagaRejectedError when too many wait for it */
  async stash(session: SqlSession, entity: string, command: StashedCommand): Promise<void> {
    const { topic, key, control, subject } = command;
    const { maxWaiting, waitMs } = this.#options;
    const payload = Buffer.from(this.#codecOf(topic).encode(command.payload ?? null));
    const content = { topic, key, id: STASHED, headers: command.headers, payload };
    const sealing = { subject, isTemplate: false, hasUserKey: false };
    const sealed = sealMessage(this.rules.sealer, content, sealing);
    const { keep } = sealed.subjectKey ?? {};
    if (keep !== undefined) await session.run(keep.statement, ...keep.params);
    const [row] = await session.run(
      stashCommand,
      entity,
      maxWaiting,
      waitMs,
      topic,
      key,
      JSON.stringify(sealed.headers ?? {}),
      JSON.stringify(control),
      sealed.payload,
    );
    this.#pace.worked();
    if (row?.stashed !== true)
      throw new SagaRejectedError(`${maxWaiting} commands wait for ${entity}, which another saga holds`);
  }

  /** What is held, the oldest first. @throws ConfigurationError for an invalid filter */
  list(session: SqlSession, filter?: SagaLockFilter): Promise<SagaLock[]> {
    return heldEntities(session, filter);
  }

  /** The service that rejects commands that have waited too long, and sends those again whose entity an operator released. */
  sweeper(
    transactions: TransactionRunner,
    reject: (session: SqlSession, control: Headers, reason: string) => Promise<void>,
    logger: Logger = silentLogger,
  ): BackgroundService {
    const { sweepMs, waitMs } = this.#options;
    const sweep = async (session: SqlSession): Promise<PassResult> => {
      const expired = await session.run(takeExpiredCommands, SWEEP_COMMANDS);
      for (const { entity, control } of expired)
        await reject(
          session,
          JSON.parse(control) as Headers,
          `${entity} was held by another saga for ${waitMs} ms`,
        );
      const woken = await session.run(wakeCommands, SWEEP_COMMANDS);
      await this.#sendAgain({ session }, woken);
      if (expired.length + woken.length > 0) this.#pace.worked();
      return Math.max(expired.length, woken.length) === SWEEP_COMMANDS ? 'again' : 'idle';
    };
    return new BackgroundService({
      name: 'the sweep of waiting saga commands',
      runOnce: () => transactions.run({ work: ({ session }) => sweep(session), timeoutMs: SWEEP_TIMEOUT_MS }),
      idleMinMs: sweepMs,
      idleMaxMs: this.#pace,
      logger,
    });
  }
}
