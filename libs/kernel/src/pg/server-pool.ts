import pg from 'pg';
import { DatabaseUnavailableError } from '../errors/runtime-errors.js';
import { type Attempt, assertWanted, type ServerChoice } from './server-choice.js';
import { respondedWithin } from './response-deadline.js';
import { SESSION_DEFAULTS } from './session-reset.js';

/** The driver's message when a pool has no free connection for too long. */
const WAITED_IN_VAIN = 'timeout exceeded when trying to connect';

type Connected = (error: Error) => void;
type CheckedOut = (
  error: Error | undefined,
  client: pg.PoolClient | undefined,
  done: (release?: Error | boolean) => void,
) => void;

/** A client that connects to the server that is next in turn, and reports when it cannot. */
export class ServerClient extends pg.Client {
  readonly #choice: ServerChoice;
  readonly #attempt: Attempt;
  readonly #timeoutMs: number;

  /** @param options without an address */
  constructor(choice: ServerChoice, options: pg.ClientConfig) {
    const attempt = choice.next();
    const timeoutMs = choice.shareOf(options.connectionTimeoutMillis ?? 0);
    super({ ...options, ...attempt.server.config, connectionTimeoutMillis: timeoutMs });
    this.#choice = choice;
    this.#attempt = attempt;
    this.#timeoutMs = timeoutMs;
  }

  override connect(): Promise<this>;
  override connect(callback: Connected): void;
  override connect(callback?: Connected): Promise<this> | void {
    if (callback === undefined) {
      return new Promise((resolve, reject) => {
        this.connect((error?: Error) => (error ? reject(error) : resolve(this)));
      });
    }
    super.connect((error: Error | null) => {
      if (error) this.#choice.failed(this.#attempt, error);
      callback(error as Error);
    });
  }

  /** Checks the server, and prepares the session, of a connection that was just made. */
  async prepare(): Promise<void> {
    try {
      await respondedWithin(this, this.#timeoutMs, 'Connecting', assertWanted(this.#attempt, this));
      await respondedWithin(this, this.#timeoutMs, 'Connecting', this.query(SESSION_DEFAULTS));
    } catch (error) {
      this.#choice.failed(this.#attempt, error);
      throw error;
    }
  }
}

/** A pool whose connections go to the server that is next in turn. */
export class ServerPool extends pg.Pool {
  readonly #choice: ServerChoice;
  readonly #connectTimeoutMs: number;

  /** @param options without an address */
  constructor(choice: ServerChoice, options: pg.PoolConfig, connectTimeoutMs: number) {
    const Client = class extends ServerClient {
      constructor(config: pg.ClientConfig) {
        super(choice, config);
      }
    };
    super({
      ...options,
      Client: Client as unknown as new () => pg.ClientBase,
      onConnect: (client) => (client as ServerClient).prepare(),
    });
    this.#choice = choice;
    this.#connectTimeoutMs = connectTimeoutMs;
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(callback: CheckedOut): void;
  override connect(callback?: CheckedOut): Promise<pg.PoolClient> | void {
    const connected = this.#choice.inTurn(this.#connectTimeoutMs, () => this.#checkOut());
    if (callback === undefined) return connected;
    void this.#handOver(connected, callback);
  }

  async #checkOut(): Promise<pg.PoolClient> {
    try {
      return await super.connect();
    } catch (error) {
      if (!(error instanceof Error) || error.message !== WAITED_IN_VAIN) throw error;
      const { max } = this.options;
      throw new DatabaseUnavailableError(
        `None of the pool's ${max} connections became free within ${this.#connectTimeoutMs} ms`,
        {
          cause: error,
          remedy:
            'Raise connectionsMax, lower the concurrency of the handlers, or find what holds connections (pg_stat_activity ' +
            'shows them): a slow handler, or a transaction that is never ended',
        },
      );
    }
  }

  async #handOver(connected: Promise<pg.PoolClient>, callback: CheckedOut): Promise<void> {
    let client: pg.PoolClient;
    try {
      client = await connected;
    } catch (error) {
      return callback(error as Error, undefined, () => {});
    }
    callback(undefined, client, (release) => client.release(release));
  }
}
