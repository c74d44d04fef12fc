import {
  assertAnswerable,
  type Delivery,
  type Headers,
  REPLY_KEY_HEADER,
  replyHeaders,
  type ReplyStatus,
  replyTopicOf,
} from '@waybill/consumer';
import { Barrier, type BarrierCall, type BarrierOp } from '@waybill/inbox';
import { isInfrastructureFailure, runAhead, type SqlSession, savepointOf } from '@waybill/kernel';
import type { ControlMessage } from '@waybill/outbox';
import type { Answers, AnswerTransaction } from './answers.js';
import {
  SAGA_AGAIN_HEADER,
  SAGA_BRANCH_HEADER,
  SAGA_ID_HEADER,
  SAGA_OP_HEADER,
} from '../engine/saga-headers.js';
import { SagaEntityHeld, type SagaLocks } from './saga-locks.js';
import { SagaOngoing, SagaRejection } from '../machine/saga-rejection.js';

const savepoint = savepointOf('participant');

/** What a {@link SagaParticipant} works with. */
export interface SagaParticipantParts {
  readonly answers: Answers;
  readonly locks: SagaLocks;
  /** Finds a topic of the log: answers go to those that are there. Default: only the topic's name is checked. */
  readonly findTopic?: (name: string) => Promise<unknown>;
  /** Default: one with default options. */
  readonly barrier?: Barrier;
}

/** How a command has ended here. */
interface Ending {
  readonly status: ReplyStatus;
  readonly payload?: unknown;
  readonly error?: string;
}

/** Operations that take back what others did. */
const UNDOING: ReadonlySet<BarrierOp> = new Set<BarrierOp>(['compensate', 'cancel']);
const OPS: ReadonlySet<string> = new Set<BarrierOp>(['action', 'compensate', 'try', 'confirm', 'cancel']);

/**
 * Serves commands of sagas in the transaction of their delivery: the barrier lets each happen once, and never after its
 * compensation; effect, barrier and answer are committed together, so that every command which has happened is answered
 * once, and a duplicate needs no second answer.
 */
export class SagaParticipant {
  readonly #barrier: Barrier;

  constructor(private readonly parts: SagaParticipantParts) {
    this.#barrier = parts.barrier ?? new Barrier();
  }

  /**
   * Serves one delivery. `work` is the handler; it may throw a {@link SagaRejection} (its writes are rolled back, and the
   * saga is told), a {@link SagaOngoing}, or anything else: then the delivery has failed, and is retried as any other.
   * A delivery that is no command of a saga is handled as it is.
   *
   * @returns what `work` returned; undefined when it did not run
   */
  async serve(delivery: Delivery, work: () => Promise<unknown>): Promise<unknown> {
    const { session, control } = delivery;
    const call = callOf(control);
    if (call === undefined) return work();
    await assertAnswerable(delivery, this.parts.findTopic);
    if (control[SAGA_AGAIN_HEADER] !== undefined) await this.#barrier.pardon(session, call);
    await runAhead(session, savepoint.set);
    let ending: Ending | undefined;
    try {
      ending = await this.#pass(session, call, work);
    } catch (error) {
      if (isInfrastructureFailure(error)) throw error;
      if (!(error instanceof SagaRejection) && !(error instanceof SagaEntityHeld)) throw error;
      await session.run(savepoint.goBack);
      ending = error instanceof SagaRejection ? rejected(error) : await this.#stash(delivery, error.entity);
      // A copy of the command must not do later what the saga has been told was not done.
      if (ending !== undefined) await this.#barrier.reject(session, call);
    }
    if (UNDOING.has(call.op)) await this.parts.locks.release(delivery, call.gid, { branch: call.branch });
    await this.#answer(delivery, control, ending);
    return ending?.payload;
  }

  /** Answers a command later that was {@link SagaOngoing}, in the transaction in which it has ended. */
  async answer(
    transaction: AnswerTransaction,
    control: Headers,
    status: 'done' | 'rejected',
    payload: unknown = null,
  ): Promise<void> {
    const ending = status === 'done' ? { status, payload } : { status, error: String(payload) };
    await this.#answer(transaction, control, ending);
  }

  /** Rejects a command that has waited too long. */
  async rejectCommand(session: SqlSession, control: Headers, reason: string): Promise<void> {
    const call = callOf(control);
    if (call !== undefined) await this.#barrier.reject(session, call);
    await this.#answer({ session }, control, { status: 'rejected', error: reason });
  }

  async #pass(
    session: SqlSession,
    call: BarrierCall,
    work: () => Promise<unknown>,
  ): Promise<Ending | undefined> {
    let ongoing = false;
    let payload: unknown;
    // The answer is committed with the effect, so the barrier needs to keep none for duplicates.
    const { outcome } = await this.#barrier.call(session, call, async () => {
      try {
        payload = await work();
      } catch (error) {
        if (!(error instanceof SagaOngoing)) throw error;
        ongoing = true;
      }
    });
    if (outcome === 'done') return ongoing ? { status: 'ongoing' } : { status: 'done', payload };
    if (outcome === 'empty') return { status: 'done' };
    // Done, rejected or given up before: that was said when it happened.
    return undefined;
  }

  /** @returns how the command has ended, when it cannot wait */
  async #stash({ session, ...command }: Delivery, entity: string): Promise<Ending | undefined> {
    try {
      await this.parts.locks.stash(session, entity, command);
      return undefined;
    } catch (error) {
      if (error instanceof SagaRejection) return rejected(error);
      throw error;
    }
  }

  async #answer(transaction: AnswerTransaction, request: Headers, ending: Ending | undefined): Promise<void> {
    if (ending === undefined) return;
    const topic = replyTopicOf(request, `the command of saga ${request[SAGA_ID_HEADER] ?? ''}`);
    if (topic === undefined) return;
    const { status, payload = null, error } = ending;
    const message: ControlMessage = {
      topic,
      key: request[REPLY_KEY_HEADER] ?? null,
      control: replyHeaders(request, status, error),
      payload,
    };
    await this.parts.answers.send(transaction, [message]);
  }
}

function rejected({ reason }: SagaRejection): Ending {
  return { status: 'rejected', error: reason };
}

/** What the barrier knows a command by; undefined for a message that is no command of a saga. */
export function callOf(control: Headers): BarrierCall | undefined {
  const gid = control[SAGA_ID_HEADER];
  const branch = control[SAGA_BRANCH_HEADER];
  const op = control[SAGA_OP_HEADER];
  if (gid === undefined || branch === undefined || op === undefined || !OPS.has(op)) return undefined;
  return { gid, branch, op: op as BarrierOp };
}
