import type { PassTrace } from '@waybill/outbox/internal';
import { parseTraceparent, type RemoteSpan, traceparentIn } from './trace-headers.js';

/** Links that the span of a pass has at most; no more are looked for. */
const MAX_LINKS = 128;

/** What is known of a pass when it is over. */
export interface PassSeen {
  readonly startTime: number;
  readonly links: readonly RemoteSpan[];
  readonly messages: number;
  readonly error: unknown;
}

/** Collects what the span of a relay's pass says. It is made when the pass is over: only then its links are known. */
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
