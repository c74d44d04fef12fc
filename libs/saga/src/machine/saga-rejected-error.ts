/**
 * The business says no: thrown by a participant, a local action or a signal's `then`. The step has not happened, is not
 * retried, and the saga is compensated. Every other error counts as a technical failure and is retried.
 */
export class SagaRejectedError extends Error {
  override readonly name = 'SagaRejectedError';

  /** @param reason stored in the saga's row and in its timeline */
  constructor(readonly reason: string) {
    super(reason);
  }
}

/**
 * Thrown by a participant that is still working on a command. The step's time starts over, and
 * the participant replies later with `waybill.sagas.participant.reply`. What it has written so far is committed.
 */
export class SagaOngoingError extends Error {
  override readonly name = 'SagaOngoingError';
  /** Whether what was written so far has to be undone. */
  readonly hasEffect: boolean;

  /**
   * @param options `hasEffect`: whether the handler has already done something that has to be undone, here or elsewhere.
   *   Default true: a compensation is carried out although the command has had no reply. False when the whole effect
   *   comes with the reply: a compensation that comes before it then has nothing to do.
   */
  constructor({ hasEffect = true }: { readonly hasEffect?: boolean } = {}) {
    super('the command is still being carried out');
    this.hasEffect = hasEffect;
  }
}
