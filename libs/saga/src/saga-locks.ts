import {
  BackgroundService,
  type Given,
  type Logger,
  type PassResult,
  resolveOptions,
  silentLogger,
  type SqlSession,
  type TransactionRunner,
  wholeNumber,
} from '@waybill/kernel';
import type { Headers } from '@waybill/consumer';
import type { ControlMessage } from '@waybill/outbox';
import type { Answers, AnswerTransaction } from './answers.js';
import { SagaRejection } from './saga-rejection.js';
import {
  holdEntity,
  listLocks,
  releaseEntities,
  stashCommand,
  takeExpiredCommands,
} from './statements.generated.js';

const SPECS = {
  /** How long a command waits for an entity that another saga holds, in milliseconds; then it is rejected. */
  waitMs: wholeNumber({ default: 30_000, min: 10, max: 30 * 86_400_000 }),
  /** Commands that wait for one entity at most; more are rejected at once. */
  maxWaiting: wholeNumber({ default: 100, min: 1, max: 100_000 }),
  /** How often commands that have waited too long are looked for, in milliseconds. */
  sweepMs: wholeNumber({ default: 1_000, min: 10, max: 600_000 }),
};

/** Options of {@link SagaLocks}. */
export type SagaLockOptions = Given<typeof SPECS>;

/** A saga, as a participant knows it. */
export interface SagaBranch {
  readonly sagaId: string;
  readonly branch: string;
}

/** An entity that is held for a saga. */
export interface SagaLock {
  readonly entity: string;
  readonly sagaId: string;
  readonly branch: string;
  readonly lockedAt: Date;
  /** Commands that wait for it. */
  readonly waiting: number;
}

/** A command that waits for an entity. */
export interface StashedCommand {
  readonly topic: string;
  readonly key: string | null;
  readonly headers: Headers;
  readonly control: Headers;
  readonly payload: unknown;
}

/** The entity is another saga's: the command is put aside. Caught by {@link SagaParticipant}. */
export class SagaEntityHeld extends Error {
  override readonly name = 'SagaEntityHeld';

  constructor(readonly entity: string) {
    super(`${entity} is held by another saga`);
  }
}

const SWEEP_COMMANDS = 100;
const SWEEP_TIMEOUT_MS = 30_000;

/**
 * Semantic locks of a participant (after C. Richardson, Microservices Patterns, 4.3): an entity that a saga works on is
 * that saga's until it lets go, because between two steps of it the database does not know that. Commands of other sagas
 * wait in the participant's database and come again when it is let go; after `waitMs` they are rejected, which also
 * undoes a deadlock.
 */
export class SagaLocks {
  readonly #options;

  constructor(
    private readonly answers: Answers,
    options: SagaLockOptions = {},
  ) {
    this.#options = resolveOptions("sagas' locks", SPECS, options);
  }

  /**
   * Holds an entity for the saga of a command, in the command's transaction. It is let go by {@link release}, and when
   * the step is compensated.
   *
   * @throws SagaEntityHeld when it is another saga's: to be let through
   */
  async hold(session: SqlSession, { sagaId, branch }: SagaBranch, entity: string): Promise<void> {
    const [row] = await session.run(holdEntity, entity, sagaId, branch);
    if (row?.held !== true) throw new SagaEntityHeld(entity);
  }

  /** Lets go what a saga holds here: an entity, what a branch has taken, or all. Commands that wait for it come again. */
  async release(
    transaction: AnswerTransaction,
    sagaId: string,
    only: { readonly entity?: string; readonly branch?: string } = {},
  ): Promise<void> {
    const { session } = transaction;
    const rows = await session.run(releaseEntities, sagaId, only.branch ?? null, only.entity ?? null);
    const messages = rows.map(({ topic, key, headers, control, payload }): ControlMessage => ({
      topic,
      key,
      headers: JSON.parse(headers) as Headers,
      control: JSON.parse(control) as Headers,
      payload: payload === null ? null : (JSON.parse(payload.toString('utf8')) as unknown),
    }));
    if (messages.length > 0) await this.answers.send(transaction, messages);
  }

  /** Puts a command aside until an entity is let go. @throws SagaRejection when too many wait for it */
  async stash(session: SqlSession, entity: string, command: StashedCommand): Promise<void> {
    const { topic, key, headers, control, payload } = command;
    const { maxWaiting, waitMs } = this.#options;
    // What a saga commands is JSON, whatever codec its topic has.
    const bytes = Buffer.from(JSON.stringify(payload ?? null));
    const [row] = await session.run(
      stashCommand,
      entity,
      maxWaiting,
      waitMs,
      topic,
      key,
      JSON.stringify(headers),
      JSON.stringify(control),
      bytes,
    );
    if (row?.stashed !== true)
      throw new SagaRejection(`${maxWaiting} commands wait for ${entity}, which another saga holds`);
  }

  /** What is held, the oldest first. */
  list(session: SqlSession, most = 100): Promise<SagaLock[]> {
    return session.run(listLocks, most);
  }

  /** The service that rejects commands which have waited too long. */
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
      return expired.length === SWEEP_COMMANDS ? 'again' : 'idle';
    };
    return new BackgroundService({
      name: "the sweep of sagas' commands that wait",
      runOnce: () => transactions.run({ work: ({ session }) => sweep(session), timeoutMs: SWEEP_TIMEOUT_MS }),
      idleMinMs: sweepMs,
      idleMaxMs: sweepMs,
      logger,
    });
  }
}
