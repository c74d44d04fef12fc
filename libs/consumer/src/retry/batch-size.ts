/** The weight of the newest transaction in the mean, if it was faster, and if it was slower. */
const FASTER = 0.3;
const SLOWER = 0.02;
/** How many times `batchMs` the handlers of a transaction may take in the end. */
const LONGEST = 5;

/**
 * How many messages of a lane share a transaction: as many as fit into `batchMs` by the mean of the handler's time. The mean
 * follows fast transactions at once and slow ones hesitantly: where handlers are slow because the machine is busy, many small
 * transactions would keep it busier. A new lane begins with one message, and doubles as long as all goes well; a lane that has
 * failed begins again.
 */
export class BatchSize {
  #limit = 1;
  #handlerMs: number | undefined;

  /**
   * @param batchMs how long the handlers of one transaction should take together, in milliseconds
   * @param how `one call`: one handler takes all messages of a transaction, and it is the more worth the more there are,
   *   however long it takes
   */
  constructor(
    private readonly transactionBatch: number,
    private readonly batchMs: number,
    private readonly how: 'a call each' | 'one call' = 'a call each',
  ) {}

  get most(): number {
    return Math.max(1, Math.min(this.transactionBatch, this.#limit, this.#fitting));
  }

  /** With fewer waiting messages than this it is better to wait for a batch that is running than to begin another. */
  get worthAnother(): number {
    return this.transactionBatch === 1 ? 1 : Math.max(1, this.#fitting);
  }

  get #fitting(): number {
    if (this.how === 'one call') return this.transactionBatch;
    return this.#handlerMs === undefined ? 1 : Math.floor(this.batchMs / Math.max(this.#handlerMs, 0.001));
  }

  /** After this time no handler begins in a transaction, in milliseconds. */
  get longestMs(): number {
    return LONGEST * this.batchMs;
  }

  /** @param ms how long the handlers of messages that shared a transaction took together, in milliseconds */
  succeeded(messages: number, ms: number): void {
    const each = ms / messages;
    const mean = this.#handlerMs ?? each;
    this.#handlerMs = mean + (each < mean ? FASTER : SLOWER) * (each - mean);
    if (messages >= this.#limit) this.#limit = Math.min(2 * this.#limit, this.transactionBatch);
  }

  failed(): void {
    this.#limit = 1;
  }
}
