import pg from 'pg';
import { failureOf } from './failed-statement.js';

/** One statement of a batch, ready for the wire. */
export interface BatchEntry {
  readonly text: string;
  readonly values: readonly unknown[];
  /** Keeps the statement prepared on the connection under this name. */
  readonly name?: string;
  /** The driver's options for its result; default: rows as objects, with the batch's types. */
  readonly rowMode?: 'array';
  readonly types?: pg.CustomTypesConfig;
}

interface WireConnection {
  readonly stream: { write(bytes: Buffer): unknown };
  /** The texts of the connection's prepared statements, by name. Maintained by pg. */
  readonly parsedStatements: Readonly<Record<string, string>>;
  parse(query: { text: string; name?: string; types?: readonly number[] }): void;
  bind(config: {
    statement: string;
    values: readonly unknown[];
    valueMapper: (value: unknown) => unknown;
  }): void;
  describe(message: { type: 'P' | 'S'; name: string }): void;
  execute(config: { portal?: string; rows?: number }): void;
  sync(): void;
  sendCopyFail(message: string): void;
}

interface WireResult {
  readonly rows: unknown[];
  addFields(fields: unknown): void;
  parseRow(fields: unknown): unknown;
  addCommandComplete(message: { text: string }): void;
}

// pg exports these at run time; its published types omit them.
const { Result } = pg as unknown as {
  Result: new (mode: 'array' | undefined, types: pg.CustomTypesConfig) => WireResult;
};
const { prepareValue } =
  (pg as unknown as { utils: { prepareValue: (value: unknown) => unknown } }).utils ?? {};

/**
 * PostgreSQL rolled back at COMMIT: an earlier statement of the transaction had failed, and its error was swallowed.
 */
export class CommitRolledBackError extends Error {
  override readonly name = 'CommitRolledBackError';

  /** @param first the error of that statement, if known */
  constructor(first?: Error) {
    super(
      'the transaction was rolled back by its COMMIT, because an earlier statement in it had failed' +
        (first === undefined ? ', and its error was caught' : `: ${first.message}`),
      first === undefined ? undefined : { cause: first },
    );
  }
}

/**
 * Several statements in one round trip: they are written together, followed by a single Sync, so that the
 * server skips everything after the first that fails. `[…, commit]` therefore commits only if all went well, and
 * no lock that the statements take outlives a network round trip.
 *
 * (PostgreSQL's extended query protocol; a `Submittable` of the pg driver.)
 */
export class StatementBatch implements pg.Submittable {
  /** Called by pg's query time-out; replaced by it. */
  callback: (error: Error | null) => void = () => {};
  /** Resolves when the responses to all statements have arrived. */
  readonly done: Promise<void>;
  readonly #entries: readonly BatchEntry[];
  readonly #types: pg.CustomTypesConfig;
  readonly #results: WireResult[] = [];
  /** Thrown by a caller's parser of a type. */
  #unparsed: { readonly error: unknown } | undefined;
  #rolledBack = false;
  #wire: object | undefined;
  #failure: Error | undefined;
  #current: WireResult;
  #settle!: { resolve: () => void; reject: (error: unknown) => void };

  constructor(entries: readonly BatchEntry[], types: pg.CustomTypesConfig) {
    this.#entries = entries;
    this.#types = types;
    this.#current = this.#newResult();
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  /** The statement the server is working on: once it is parsed, pg notes its name and text as prepared. */
  get name(): string | undefined {
    return this.#entries[this.completed]?.name;
  }

  get text(): string | undefined {
    return this.#entries[this.completed]?.text;
  }

  /** The number of statements that have completed. */
  get completed(): number {
    return this.#results.length;
  }

  /** The rows of each completed statement. */
  get rows(): unknown[][] {
    return this.#results.map(({ rows }) => rows);
  }

  /** The driver's result of a completed statement. */
  resultOf(index: number): pg.QueryResult | undefined {
    return this.#results[index] as pg.QueryResult | undefined;
  }

  /** Whether the server responded to a COMMIT of the batch with ROLLBACK. */
  get wasRolledBack(): boolean {
    return this.#rolledBack;
  }

  submit(connection: unknown): void {
    this.#wire = connection as object;
    const messages: Buffer[] = [];
    const stream = { writable: true, write: (message: Buffer) => messages.push(message) };
    // One write for all: a write costs more than copying small buffers, and pg writes each message separately.
    const wire = Object.create(connection as object, { stream: { value: stream } }) as WireConnection;
    try {
      this.#write(wire);
    } finally {
      wire.sync();
      (connection as WireConnection).stream.write(Buffer.concat(messages));
    }
  }

  #write(wire: WireConnection): void {
    const parsed = new Set<string>();
    for (const { text, values, name = '' } of this.#entries) {
      if (name === '' || !(parsed.has(name) || Object.hasOwn(wire.parsedStatements, name))) {
        wire.parse({ text, name });
        parsed.add(name);
      }
      wire.bind({ statement: name, values, valueMapper: prepareValue as (value: unknown) => unknown });
      wire.describe({ type: 'P', name: '' });
      wire.execute({ portal: '' });
    }
  }

  handleRowDescription(message: { fields: unknown }): void {
    this.#current.addFields(message.fields);
  }

  handleDataRow(message: { fields: unknown }): void {
    try {
      this.#current.rows.push(this.#current.parseRow(message.fields));
    } catch (error) {
      this.#unparsed ??= { error };
    }
  }

  handleCommandComplete(message?: { text: string }): void {
    // COMMIT of a failed transaction succeeds, and reports that it rolled back.
    if (message?.text === 'ROLLBACK' && this.text === 'commit') this.#noteRollback();
    if (message !== undefined) this.#current.addCommandComplete(message);
    this.#results.push(this.#current);
    this.#current = this.#newResult();
  }

  #newResult(): WireResult {
    const entry = this.#entries[this.completed];
    return new Result(entry?.rowMode, entry?.types ?? this.#types);
  }

  #noteRollback(): void {
    this.#rolledBack = true;
    if (this.#wire !== undefined) this.#failure = failureOf(this.#wire);
  }

  /** A COPY that other code has sent as a plain query: refused, as pg does. The server has ignored the Sync meanwhile. */
  handleCopyInResponse(connection: WireConnection): void {
    connection.sendCopyFail('No source stream defined');
    connection.sync();
  }

  handleCopyData(): void {}

  handleEmptyQuery(): void {
    this.handleCommandComplete();
  }

  handleError(error: unknown): void {
    this.callback(error as Error);
    this.#settle.reject(error);
  }

  handleReadyForQuery(): void {
    this.callback(null);
    if (this.#rolledBack) this.#settle.reject(new CommitRolledBackError(this.#failure));
    else if (this.#unparsed !== undefined) this.#settle.reject(this.#unparsed.error);
    else this.#settle.resolve();
  }
}
