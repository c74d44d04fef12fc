import {
  BackgroundService,
  describeError,
  isInfrastructureFailure,
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
import { type ClaimedCall, tryCall, type TryOutcome } from './saga-call-try.js';
import type { SagaEndpoints } from './saga-endpoint.js';

/** A lease is longer than its try by this, in milliseconds: for its claim, and for its answer to be told. */
const MARGIN_MS = 5_000;
/** Tries of an attempt until the saga is told that it has failed. */
const MAX_TRIES = 8;
/** Waits between tries, in milliseconds: they double. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** An answer that cannot be told to its saga is asked for again after this, in milliseconds. */
const POSTPONE_MS = 5_000;
/** One of a saga whose subject was erased: it cannot be carried on. */
const ERASED_MS = 86_400_000;
/** Calls under way may come to their end for so long when the process stops, in milliseconds. */
const DRAIN_MS = 5_000;

/** What a {@link SagaCaller} works with. */
export interface SagaCallerDependencies {
  readonly engine: SagaEngine;
  readonly definitions: SagaDefinitions;
  readonly endpoints: SagaEndpoints;
  readonly transactions: TransactionRunner;
  readonly logger: Logger;
  /** Longest time between two looks for calls that are due, in milliseconds. */
  readonly pollMs: number;
  /** How long a transition may take, in milliseconds. */
  readonly transitionMs: number;
}

type Row = Awaited<ReturnType<typeof claimed>>[number];

/**
 * Makes the HTTP calls of a service's sagas. Each try is claimed, and that is on disk, before it is made; it is made outside of
 * every transaction, and never behind the end of its lease. What the endpoint answers is told to the saga in one transaction,
 * only while the claim is the newest: a call that its saga has given up is not claimed, and an answer to it changes nothing.
 * Calls under way are bounded, in all and for each host.
 */
export class SagaCaller {
  readonly service: BackgroundService;
  readonly #underWay = new Map<string, number>();
  readonly #tries = new Set<Promise<void>>();
  #abort = new AbortController();

  constructor(private readonly dependencies: SagaCallerDependencies) {
    const { pollMs, logger, engine } = dependencies;
    this.service = new BackgroundService({
      name: 'the HTTP calls of sagas',
      runOnce: () => this.#claim(),
      idleMinMs: Math.min(20, pollMs),
      idleMaxMs: pollMs,
      bell: engine.calls.bell,
      logger,
    });
  }

  /** Begins to make calls, where a definition has any. */
  start(): void {
    if (this.dependencies.definitions.calls().length === 0) return;
    this.#abort = new AbortController();
    this.service.start();
  }

  /** Claims no more calls, and lets those under way come to their end for a while. */
  async stop(): Promise<void> {
    await this.service.stop();
    const ended = Promise.all(this.#tries);
    const waiting = new AbortController();
    await Promise.race([ended, systemClock.sleep(DRAIN_MS, waiting.signal)]);
    waiting.abort();
    this.#abort.abort(new Error('the process stops'));
    await ended;
  }

  /** Claims what is due and has a place, and begins to call it. */
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
      // Its lease ends, and it is asked for again.
      this.dependencies.logger.error(
        `what came of ${step} (${op}) of saga ${sagaId} is lost: ${describeError(error)}`,
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
      return { type: 'unusable', error: `no definition here has such a call: ${row.definition}` };
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

  /** Keeps at it while the lease lasts: what an endpoint has done must not be lost to a connection. */
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
        // In the order in which transitions lock: the saga, then its calls.
        const stored = await lockSaga(session, engine.contents, row.sagaId);
        const attempt = await this.#end(row, outcome, session);
        // A failure is the failure of its own attempt only; an answer is one to the whole round.
        if (stored === undefined || attempt === undefined) return;
        if (reply.status === 'failed' && attempt !== row.attempt) return;
        await engine.carry(transaction, stored, { ...reply, attempt });
      },
      timeoutMs: transitionMs,
    });
  }

  /** What the saga is told; undefined where the call is to be tried again, or will be answered later. */
  #replyTo({ step, op: name, attempt, tries }: Row, outcome: TryOutcome): Reply | undefined {
    const op = name as SagaOp;
    const reply = { type: 'reply', step, op, attempt } as const;
    if (outcome.type === 'done') return { ...reply, status: 'done', payload: outcome.payload };
    if (outcome.type === 'rejected') return { ...reply, status: 'rejected', error: outcome.reason };
    const isSpent = outcome.type === 'unusable' || (outcome.type === 'trouble' && tries >= MAX_TRIES);
    return isSpent ? { ...reply, status: 'failed', error: outcome.error } : undefined;
  }

  /** @returns the attempt that the call is for by now; undefined when another process has claimed it since */
  async #end(
    row: Row,
    outcome: TryOutcome,
    session = this.dependencies.transactions.session,
  ): Promise<number | undefined> {
    const { sagaId, branch, op, token, attempt, tries, begun, isEmpty } = row;
    const { type } = outcome;
    const isFailed = this.#replyTo(row, outcome)?.status === 'failed';
    const kind = KINDS[type];
    // A try of which nothing was sent, or that was rejected, leaves it as unknown as it was before.
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
    this.dependencies.logger.error(`saga ${sagaId} could not be told what came of ${step} (${op}): ${why}`);
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

/** What the call's row is told of an outcome, unless its attempt is given up. */
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
