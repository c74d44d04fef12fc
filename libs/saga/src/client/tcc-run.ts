import type { TransactionRunner } from '@waybill/kernel';
import type { TransactionHandle } from '@waybill/outbox';
import type { SagaDefinition } from '../definition/saga-definition.js';
import type { SagaOutcomeOptions, Sagas, SagaStart } from './sagas.js';
import type { TccTries } from '../builder/tcc.js';

/** Options of a TCC transaction. */
export type TccRun<Input extends object> = SagaStart<Input> & SagaOutcomeOptions;

/** The outcome of a TCC transaction. */
export interface TccOutcome extends TccTries {
  /** The id of its saga. */
  readonly id: string;
  /** True when every branch is confirmed, false when every branch is cancelled. */
  readonly confirmed: boolean;
  /** Why it was cancelled; null when it was confirmed. */
  readonly reason: string | null;
}

/** Time limit of the transaction that starts one. */
const START_MS = 30_000;

/** Runs TCC transactions for callers that wait for the outcome; `Sagas.start` starts one in the caller's transaction. */
export class Tcc {
  constructor(
    private readonly dependencies: { readonly sagas: Sagas; readonly transactions: TransactionRunner },
  ) {}

  /**
   * Starts a TCC transaction, in a transaction of its own, and waits until every branch is confirmed or cancelled. Running
   * it again with the same key waits for the same one, so a lost result can be asked for again. It ends
   * whether or not the caller waits.
   *
   * @throws SagaUnderWayError when it has not ended within `timeoutMs`
   */
  async run<Input extends object>(
    definition: SagaDefinition<Input, Input & TccTries>,
    { timeoutMs, signal, ...start }: TccRun<Input>,
  ): Promise<TccOutcome> {
    const { sagas, transactions } = this.dependencies;
    const { id } = await transactions.run({
      work: ({ handle }) => sagas.start(handle as TransactionHandle, definition, start),
      timeoutMs: START_MS,
    });
    const { state, reason, data } = await sagas.outcome(id, {
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(signal && { signal }),
    });
    const { tries = {} } = data as Partial<TccTries>;
    return { id, confirmed: state === 'COMPLETED', reason, tries };
  }
}
