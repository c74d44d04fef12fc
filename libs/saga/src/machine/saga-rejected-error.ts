/**
 * The business says no: thrown by a participant, a local action or a signal's `then`. The step has not happened, is not
 * tried again, and the saga is compensated. Every other error is trouble with the infrastructure, and is tried again.
 */
export class SagaRejectedError extends Error {
  override readonly name = 'SagaRejectedError';

  /** @param reason what the business says; it stands in the saga's row and in its timeline */
  constructor(readonly reason: string) {
    super(reason);
  }
}

/**
 * A participant is still at it: thrown by it when it is asked before it has an answer. The step's time starts over, and
 * the participant answers later by `waybill.sagas.participant.answer`. What it has written so far is kept.
 */
export class SagaOngoingError extends Error {
  override readonly name = 'SagaOngoingError';
  /** Whether what was written so far has to be taken back. */
  readonly hasEffect: boolean;

  /**
   * @param options `hasEffect`: whether the handler has done something already that has to be taken back, here or elsewhere.
   *   Default true: a compensation is carried out although the command has not been answered. False where all of the effect
   *   comes with the answer: then a compensation that comes before it has nothing to do.
   */
  constructor({ hasEffect = true }: { readonly hasEffect?: boolean } = {}) {
    super('the command is still being carried out');
    this.hasEffect = hasEffect;
  }
}
