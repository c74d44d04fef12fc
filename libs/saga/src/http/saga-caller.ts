import {
  BackgroundService,
  describeError,
  isInfrastructureFailure,
  type IdlePace,
  type Logger,
  type PassResult,
  SubjectErasedError,
  systemClock,
  type TransactionRunner,
} from '@waybill/kernel';
import { backoffMs } from '@waybill/kernel/internal';
import { callOfStep } from '../definition/http-command.js';
import type { SagaOp } from '../definition/saga-command.js';
import { definitionName, type SagaDefinitions } from '../definition/saga-definitions.js';
import { callbackToken } from '../message/callback-token.js';
import type { SagaEngine } from '../engine/saga-engine.js';
import { lockSaga } from '../engine/saga-store.js';
import type { SagaEvent } from '../machine/saga-event.js';
import { claimSagaCalls, endSagaCallTry } from '../statements.generated.js';
import { type ClaimedCall, tryCall, type TryOutcome } from './try-call.js';
import type { SagaEndpoints } from './saga-endpoint.js';

/** How much longer a lease is than its try, in milliseconds: for the claim and for recording the outcome. */
const MARGIN_MS = 5_000;
/** Tries of an attempt before it counts as failed. */
const MAX_TRIES = 8;
/** Wait between tries, in milliseconds; it doubles. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** Wait before a call is repeated whose outcome could not be recorded, in milliseconds. */
const POSTPONE_MS = 5_000;
/** Error codes of a saga whose subject was erased: it cannot continue. */
const ERASED_MS = 86_400_000;
/** How long calls in flight may take to end when the process stops, in milliseconds. */
const DRAIN_MS = 5_000;

/** What a {@link SagaCaller} works with. */
export interface SagaCallerDependencies {
  readonly engine: SagaEngine;
  readonly definitions: SagaDefinitions;
  readonly endpoints: SagaEndpoints;
  readonly transactions: TransactionRunner;
  readonly logger: Logger;
  /** The polls. */
  readonly pace: IdlePace;
  readonly idleMinMs: number;
  /** Time limit of a transition, in milliseconds. */
  readonly transitionMs: number;
}

type Row = Awaited<ReturnType<typeof claimed>>[number];

/**
 * Makes the HTTP calls of a service's sagas. Each try is claimed, durably, before it is made; it is made outside
 * every transaction and never after the end of its lease. The response is applied to the saga in one transaction,
 * only while the claim is the newest: a call that its saga has given up is not claimed, and its response changes nothing.
 * Calls in flight are limited, in total and per host.
 */
export class SagaCaller {
  readonly service: BackgroundService;
  readonly #underWay = new Map<string, number>();
  readonly #tries = new Set<Promise<void>>();
  #abort = new AbortController();

  constructor(private readonly dependencies: SagaCallerDependencies) {
    const { pace, idleMinMs, logger, engine } = dependencies;
    this.service = new BackgroundService({
      name: 'the HTTP calls of sagas',
      runOnce: () => this.#claim(),
      idleMinMs,
      idleMaxMs: pace,
      bell: engine.calls.bell,
      logger,
    });
  }

  /** Starts to make calls, if any definition has one. */
  start(): void {
    if (this.dependencies.definitions.calls().length === 0) return;
    this.#abort = new AbortController();
    this.service.start();
  }

  /** Claims no more calls, and waits a limited time for those in flight. */
  async stop(): Promise<void> {
    await this.service.stop();
    const ended = Promise.all(this.#tries);
    const waiting = new AbortController();
    await Promise.race([ended, systemClock.sleep(DRAIN_MS, waiting.signal)]);
    waiting.abort();
    this.#abort.abort(new Error('the process is stopping'));
    await ended;
  }

  /** Claims the due calls for which there is capacity, and starts them. */
  async #claim(): Promise<PassResult> {
    const { engine, endpoints, transactions, definitions } = this.dependencies;
    const { maxCalls, maxCallsPerHost, timeoutMs } = endpoints.limits;
    const free = maxCalls - this.#tries.size;
    const hosts = [...new Set(definitions.calls().map(({ url }) => url.host))].flatMap((host) => {
      const places = Math.min(free, maxCallsPerHost - (this.#underWay.get(host) ?? 0));
      return places > 0 ? [{ host, places }] : [];
    });
    if (hosts.length === 0) return 'idle';
    const claimedAt = performance.now();
    const rows = await claimed(transactions, engine.replyTopic, definitions, hosts, { free, timeoutMs });
    for (const row of rows) this.#begin(row, claimedAt + row.leaseMs);
    return rows.length === 0 ? 'idle' : 'again';
  }

  #begin(row: Row, untilMs: number): void {
    const host = hostOf(row, this.dependencies.definitions);
    this.#underWay.set(host, (this.#underWay.get(host) ?? 0) + 1);
    const running = this.#try(row, untilMs).finally(() => {
      this.#underWay.set(host, (this.#underWay.get(host) ?? 1) - 1);
      this.#tries.delete(running);
      this.service.bell.ring();
    });
    this.#tries.add(running);
  }

  async #try(row: Row, untilMs: number): Promise<void> {
    const { sagaId, step, op, tries } = row;
    try {
      const outcome = await this.#outcome(row, untilMs);
      if (outcome.type === 'trouble')
        this.dependencies.logger.debug(`try ${tries} of ${step} (${op}) of saga ${sagaId}: ${outcome.error}`);
      await this.#tell(row, outcome, untilMs);
    } catch (error) {
      // Its lease ends, and the call is repeated.
      this.dependencies.logger.error(
        `the outcome of ${step} (${op}) of saga ${sagaId} was lost and the call will be repeated: ${describeError(error)}`,
      );
    }
  }

  async #outcome(row: Row, untilMs: number): Promise<TryOutcome> {
    const { engine, definitions, transactions, endpoints } = this.dependencies;
    if (row.isEmpty) return { type: 'done', payload: null };
    const { sagaId, step, branch, round } = row;
    const op = row.op as SagaOp;
    const definition = definitions.named(row.definition);
    const http = definition && callOfStep(definition, step, op);
    if (definition === undefined || http === undefined)
      return { type: 'unusable', error: `no definition in this process has this call: ${row.definition}` };
    const { session } = transactions;
    try {
      const request: unknown = JSON.parse(await engine.contents.open(session, sagaId, row.payload));
      const callback = http.callback
        ? await callbackToken(engine.keys, session, { sagaId, step, op, round })
        : undefined;
      const { type } = definition;
      const call: ClaimedCall = { sagaId, step, op, branch, round, type, http, request, callback };
      return await tryCall(endpoints, call, { untilMs, signal: this.#abort.signal });
    } catch (error) {
      return { type: 'trouble', error: describeError(error), wasSent: false, afterMs: 0 };
    }
  }

  /** Retries while the lease lasts: an outcome must not be lost to a broken connection. */
  async #tell(row: Row, outcome: TryOutcome, untilMs: number): Promise<void> {
    for (let waitMs = 50; ; waitMs *= 2) {
      try {
        return await this.#recordOutcome(row, outcome);
      } catch (error) {
        const isOver = performance.now() + waitMs >= untilMs;
        if (!isInfrastructureFailure(error)) return this.#postpone(row, outcome, error);
        if (isOver) throw error;
        await systemClock.sleep(waitMs);
      }
    }
  }

  async #recordOutcome(row: Row, outcome: TryOutcome): Promise<void> {
    const { engine, transactions, transitionMs } = this.dependencies;
    const reply = this.#replyTo(row, outcome);
    if (reply === undefined) {
      await this.#end(row, outcome);
      return;
    }
    await transactions.run({
      work: async (transaction) => {
        const { session } = transaction;
        // In the lock order of transitions: the saga, then its calls.
        const stored = await lockSaga(session, engine.contents, row.sagaId);
        const attempt = await this.#end(row, outcome, session);
        // A failure concerns its own attempt only; a response counts for the whole round.
        if (stored === undefined || attempt === undefined) return;
        if (reply.status === 'failed' && attempt !== row.attempt) return;
        await engine.carry(transaction, stored, { ...reply, attempt });
      },
      timeoutMs: transitionMs,
    });
  }

  /** The event for the saga; undefined when the call is to be retried or the reply comes later. */
  #replyTo({ step, op: name, attempt, tries }: Row, outcome: TryOutcome): Reply | undefined {
    const op = name as SagaOp;
    const reply = { type: 'reply', step, op, attempt } as const;
    if (outcome.type === 'done') return { ...reply, status: 'done', payload: outcome.payload };
    if (outcome.type === 'rejected') return { ...reply, status: 'rejected', error: outcome.reason };
    const isSpent = outcome.type === 'unusable' || (outcome.type === 'trouble' && tries >= MAX_TRIES);
    return isSpent ? { ...reply, status: 'failed', error: outcome.error } : undefined;
  }

  /** @returns the call's current attempt; undefined when another process has claimed it since */
  async #end(
    row: Row,
    outcome: TryOutcome,
    session = this.dependencies.transactions.session,
  ): Promise<number | undefined> {
    const { sagaId, branch, op, token, attempt, tries, begun, isEmpty } = row;
    const { type } = outcome;
    const isFailed = this.#replyTo(row, outcome)?.status === 'failed';
    const kind = KINDS[type];
    // A try that sent nothing, or was rejected, does not change whether the outcome is unknown.
    const hasDone = type === 'done' ? !isEmpty : type !== 'rejected' && type !== 'unusable';
    const isUnsent = type === 'trouble' && !outcome.wasSent;
    const [ended] = await session.run(
      endSagaCallTry,
      ...([sagaId, branch, op, token, attempt, isFailed ? 'failed' : kind] as const),
      waitOf(outcome, tries),
      (hasDone && !isUnsent) || begun,
      type === 'rejected',
      type === 'ongoing' ? tries - 1 : tries,
      'error' in outcome ? outcome.error : null,
    );
    if (ended !== undefined && kind === 'again') this.#ringIn(waitOf(outcome, tries));
    return ended?.attempt;
  }

  async #postpone(row: Row, outcome: TryOutcome, error: unknown): Promise<void> {
    const { sagaId, branch, op, token, attempt, step, tries } = row;
    const why = describeError(error);
    this.dependencies.logger.error(`saga ${sagaId} could not record the outcome of ${step} (${op}): ${why}`);
    const delayMs = error instanceof SubjectErasedError ? ERASED_MS : POSTPONE_MS;
    const hasDone = outcome.type !== 'unusable' || row.begun;
    const ended = ['again', delayMs, hasDone, false, tries, why] as const;
    await this.dependencies.transactions.session.run(
      endSagaCallTry,
      sagaId,
      branch,
      op,
      token,
      attempt,
      ...ended,
    );
  }

  #ringIn(ms: number): void {
    setTimeout(() => this.service.bell.ring(), ms + 1).unref();
  }
}

type Reply = Extract<SagaEvent, { readonly type: 'reply' }>;

/** What is written to the call's row about an outcome, unless its attempt is given up. */
const KINDS: Readonly<Record<TryOutcome['type'], 'answered' | 'again' | 'later'>> = {
  done: 'answered',
  rejected: 'answered',
  ongoing: 'again',
  later: 'later',
  trouble: 'again',
  unusable: 'again',
};

function waitOf(outcome: TryOutcome, tries: number): number {
  if (outcome.type === 'ongoing') return outcome.afterMs;
  const waitMs = backoffMs(tries, FIRST_WAIT_MS, LONGEST_WAIT_MS);
  return outcome.type === 'trouble' ? Math.max(waitMs, outcome.afterMs) : waitMs;
}

function hostOf({ definition: name, step, op }: Row, definitions: SagaDefinitions): string {
  const definition = definitions.named(name);
  return (definition && callOfStep(definition, step, op as SagaOp)?.url.host) ?? '';
}

function claimed(
  { session }: TransactionRunner,
  replyTopic: string,
  definitions: SagaDefinitions,
  hosts: readonly { readonly host: string; readonly places: number }[],
  { free, timeoutMs }: { readonly free: number; readonly timeoutMs: number },
) {
  return session.run(
    claimSagaCalls,
    replyTopic,
    [...definitions].map(definitionName),
    hosts.map(({ host }) => host),
    hosts.map(({ places }) => places),
    free,
    timeoutMs,
    MARGIN_MS,
  );
}
