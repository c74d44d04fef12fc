import { type Delivery, type Headers } from '@waybill/consumer';
import { assertReplyTopic, REPLY_KEY_HEADER, replyHeaders, replyTopicOf } from '@waybill/consumer/internal';
import { type EndedState, Barrier, type BarrierCall, type BarrierOp } from '@waybill/guard';
import { ConfigurationError, isInfrastructureFailure, type SqlSession } from '@waybill/kernel';
import { runAhead, savepointOf } from '@waybill/kernel/internal';
import { type CommandOver } from '../errors/saga-errors.js';
import { SagaCommandOverError } from '../errors/saga-errors.js';
import type { ControlMessage, TransactionHandle } from '@waybill/outbox';
import type { Replies, ReplyTransaction } from './replies.js';
import { type Ending, endingOf, type LaterReply } from './later-reply.js';
import { callOf, isRelease } from './saga-call.js';
import { SAGA_AGAIN_HEADER, SAGA_HOLDS_HEADER, SAGA_ID_HEADER } from '../message/saga-headers.js';
import { SagaEntityHeldError, type SagaLocks } from './saga-locks.js';
import { SagaOngoingError, SagaRejectedError } from '../machine/saga-rejected-error.js';

const savepoint = savepointOf('participant');

/** What a {@link SagaCommandServer} works with. */
export interface SagaCommandServerDependencies {
  readonly replies: Replies;
  readonly locks: SagaLocks;
  /** Finds a topic of the log: replies go only to existing topics. Default: only the topic's name is checked. */
  readonly findTopic?: (name: string) => Promise<unknown>;
  /** Default: one with default options. */
  readonly barrier?: Barrier;
}

/** Operations that undo others. */
const UNDOING: ReadonlySet<BarrierOp> = new Set<BarrierOp>(['compensate', 'cancel']);

const OVER: Readonly<Record<Exclude<EndedState, 'ongoing'>, CommandOver>> = {
  done: 'replied',
  rejected: 'rejected',
  'taken-back': 'taken-back',
  unknown: 'unknown',
};

/**
 * Serves commands of sagas in the transaction of their delivery: the barrier lets each happen once, and never after its
 * compensation; effect, barrier and reply are committed together, so that every command that has happened gets one
 * reply, and a duplicate needs no second one.
 */
export class SagaCommandServer {
  readonly #barrier: Barrier;

  constructor(private readonly dependencies: SagaCommandServerDependencies) {
    this.#barrier = dependencies.barrier ?? new Barrier();
  }

  /**
   * Serves one delivery. `work` is the handler; it may throw a {@link SagaRejectedError} (its writes are rolled back and the
   * saga gets a rejection), a {@link SagaOngoingError}, or anything else: then the delivery has failed and is retried.
   * A delivery that is not a saga command goes to the handler unchanged; a notice that a saga has ended does not.
   *
   * @returns what `work` returned; undefined when it did not run
   */
  async serve(delivery: Delivery, work: () => Promise<unknown>): Promise<unknown> {
    const { session, control } = delivery;
    if (isRelease(control)) {
      await this.dependencies.locks.release(delivery, control[SAGA_ID_HEADER] ?? '');
      return undefined;
    }
    const call = callOf(control);
    if (call === undefined) return work();
    await assertReplyTopic(delivery, this.dependencies.findTopic);
    if (control[SAGA_AGAIN_HEADER] !== undefined) await this.#barrier.pardon(session, call);
    await runAhead(session, savepoint.set);
    let ending: Ending | undefined;
    try {
      ending = await this.#pass(session, call, work);
    } catch (error) {
      if (isInfrastructureFailure(error)) throw error;
      if (!(error instanceof SagaRejectedError) && !(error instanceof SagaEntityHeldError)) throw error;
      await session.run(savepoint.goBack);
      ending =
        error instanceof SagaRejectedError ? rejected(error) : await this.#stash(delivery, error.entity);
      // A copy of the command must not later do what the saga was told was not done.
      if (ending !== undefined) await this.#barrier.reject(session, call);
    }
    if (UNDOING.has(call.op) && ending?.status !== 'ongoing')
      await this.dependencies.locks.release(delivery, call.gid, { branch: call.branch });
    await this.#reply(delivery, control, ending);
    return ending?.payload;
  }

  /**
   * Replies later to a command that threw {@link SagaOngoingError}, in the transaction of its effect, or reports with `ongoing` that
   * it is still working, so that the step's time starts again. The barrier is asked first: a command that has been replied to,
   * or that the saga has since compensated, gets no reply, and the transaction must be rolled back.
   *
   * @param tx the open transaction; without it, the one that the caller runs in
   * @param control the control headers of the command, as they were delivered
   * @throws SagaCommandOverError when the command is over
   * @throws TransactionRequiredError for anything but an open transaction
   * @throws TransactionConflictError when another transaction works on the command: roll back and retry
   * @throws ConfigurationError for invalid headers or an invalid reply
   */
  async reply(control: Headers, reply: LaterReply): Promise<void>;
  async reply(tx: TransactionHandle, control: Headers, reply: LaterReply): Promise<void>;
  async reply(...given: [Headers, LaterReply] | [TransactionHandle, Headers, LaterReply]): Promise<void> {
    const [tx, control, reply] = given.length === 2 ? [undefined, ...given] : given;
    const transaction = this.dependencies.replies.join(tx);
    const ending = endingOf(reply);
    const call = laterCall(control);
    const stood = await this.#barrier.end(transaction.session, call, ending.status);
    if (stood !== 'ongoing') throw new SagaCommandOverError(call.gid, call.branch, call.op, OVER[stood]);
    const replied = { ...transaction, subject: reply.subject ?? null };
    const holdsNothing = ending.status === 'rejected' || (UNDOING.has(call.op) && ending.status === 'done');
    if (holdsNothing) await this.dependencies.locks.release(replied, call.gid, { branch: call.branch });
    await this.#reply(replied, control, ending);
  }

  /** Rejects a command that has waited too long. */
  async rejectCommand(session: SqlSession, control: Headers, reason: string): Promise<void> {
    const call = callOf(control);
    if (call !== undefined) await this.#barrier.reject(session, call);
    await this.#reply({ session }, control, { status: 'rejected', error: reason });
  }

  async #pass(
    session: SqlSession,
    call: BarrierCall,
    work: () => Promise<unknown>,
  ): Promise<Ending | undefined> {
    let ongoing: SagaOngoingError | undefined;
    let payload: unknown;
    // The reply is committed with the effect, so the barrier need not store it for duplicates.
    const { outcome } = await this.#barrier.call(session, call, async () => {
      try {
        payload = await work();
      } catch (error) {
        if (!(error instanceof SagaOngoingError)) throw error;
        ongoing = error;
        await this.#barrier.ongoing(session, call, error.hasEffect ? 'ongoing-effect' : 'ongoing');
      }
    });
    if (outcome === 'done')
      return ongoing === undefined ? { status: 'done', payload } : { status: 'ongoing' };
    if (outcome === 'empty') return { status: 'done' };
    // Done, rejected or given up before: the reply was sent then.
    return undefined;
  }

  /** @returns how the command has ended, when it cannot wait */
  async #stash({ session, ...command }: Delivery, entity: string): Promise<Ending | undefined> {
    try {
      await this.dependencies.locks.stash(session, entity, command);
      return undefined;
    } catch (error) {
      if (error instanceof SagaRejectedError) return rejected(error);
      throw error;
    }
  }

  async #reply(transaction: ReplyTransaction, request: Headers, ending: Ending | undefined): Promise<void> {
    if (ending === undefined) return;
    const topic = replyTopicOf(request, `the command of saga ${request[SAGA_ID_HEADER] ?? ''}`);
    if (topic === undefined) return;
    const { status, payload = null, error } = ending;
    const message: ControlMessage = {
      topic,
      key: request[REPLY_KEY_HEADER] ?? null,
      control: { ...replyHeaders(request, status, error), ...this.#held(transaction.session, request) },
      payload,
    };
    await this.dependencies.replies.send(transaction, [message]);
  }

  /** Tells the saga that something is held for it, so that it notifies this participant when it ends. */
  #held(session: SqlSession, request: Headers): Headers {
    const call = callOf(request);
    const branch = { sagaId: call?.gid ?? '', branch: call?.branch ?? '' };
    return this.dependencies.locks.hasTaken(session, branch) ? { [SAGA_HOLDS_HEADER]: '1' } : {};
  }
}

function rejected({ reason }: SagaRejectedError): Ending {
  return { status: 'rejected', error: reason };
}

/** @throws ConfigurationError for headers that are not those of a command, which the user stored */
function laterCall(control: Headers): BarrierCall {
  const given: unknown = control;
  const call = typeof given === 'object' && given !== null ? callOf(control) : undefined;
  if (call !== undefined) return call;
  throw new ConfigurationError('The reply to a command of a saga is not usable', [
    'its control headers are not those of a command: store ctx.control of the delivery and pass it unchanged',
  ]);
}
