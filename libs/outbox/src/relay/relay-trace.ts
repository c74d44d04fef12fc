/** Follows the passes of a relay. */
export interface RelayTrace {
  /** A pass begins to read; undefined when nobody follows it. */
  begin(): PassTrace | undefined;
}

/** Follows one pass of a relay. */
export interface PassTrace {
  /** Is shown the headers of a row, as their JSON. */
  sees(headers: string): void;
  /** The pass is committed. */
  moved(messages: number): void;
  /** The pass was rolled back. */
  failed(error: unknown): void;
}
