import type { Logger } from '@waybill/kernel';
import type { Rejection } from './rejection.js';

/** The most reasons that are remembered. */
const MOST_REASONS = 1_000;

/** Counts messages that are set aside, and warns once for each reason and topic. */
export class Rejections {
  readonly #told = new Set<string>();
  #count = 0;

  /** @param doing the failed operation, e.g. `be moved` */
  constructor(
    private readonly logger: Logger,
    private readonly doing: string,
  ) {}

  /** Messages set aside so far. */
  get count(): number {
    return this.#count;
  }

  /** To be called once they are stored in the quarantine. */
  note(
    rejected: readonly (Rejection & { readonly topic: string | null; readonly messageId: string | null })[],
  ): void {
    this.#count += rejected.length;
    for (const { topic, messageId, code, reason } of rejected) {
      const name = JSON.stringify(topic ?? '');
      const kind = `${code} ${name}`;
      if (this.#told.has(kind)) continue;
      if (this.#told.size === MOST_REASONS) this.#told.clear();
      this.#told.add(kind);
      this.logger.warn(
        `message ${messageId ?? '?'} of topic ${name} could not ${this.doing} and is quarantined (${code}: ${reason}); ` +
          'further ones like it are not logged: see waybill outbox quarantine list',
      );
    }
  }
}
