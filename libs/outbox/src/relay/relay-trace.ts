/** Traces the passes of a relay. */
export interface RelayTrace {
  /** Called when a pass begins to read; returns undefined if it is not traced. */
  begin(): PassTrace | undefined;
}

/** Traces one pass of a relay. */
export interface PassTrace {
  /** Called with the headers of a row, as JSON. */
  sees(headers: string): void;
  /** Called when the pass is committed. */
  moved(messages: number): void;
  /** Called when the pass was rolled back. */
  failed(error: unknown): void;
}
