import type { PassTrace } from '@waybill/outbox/internal';
import { parseTraceparent, type RemoteSpan, traceparentIn } from './trace-headers.js';

/** Maximum number of links of a pass's span; further ones are not looked up. */
const MAX_LINKS = 128;

/** The result of a pass. */
export interface PassSeen {
  readonly startTime: number;
  readonly links: readonly RemoteSpan[];
  readonly messages: number;
  readonly error: unknown;
}

/**
 * Collects the data for the span of a relay pass. The span is created when the pass has ended: its links are known only
 * then.
 */
export class RelayPass implements PassTrace {
  readonly #startTime = Date.now();
  readonly #links: RemoteSpan[] = [];

  constructor(private readonly ended: (seen: PassSeen) => void) {}

  sees(headers: string): void {
    if (this.#links.length >= MAX_LINKS) return;
    const link = parseTraceparent(traceparentIn(headers));
    if (link !== undefined) this.#links.push(link);
  }

  moved(messages: number): void {
    if (messages > 0) this.#end(messages, undefined);
  }

  failed(error: unknown): void {
    this.#end(0, error);
  }

  #end(messages: number, error: unknown): void {
    this.ended({ startTime: this.#startTime, links: this.#links, messages, error });
  }
}
