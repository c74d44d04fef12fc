/** `fast` ends sessions and writes a checkpoint; `immediate` is a crash from which the next start recovers. */
export type RestartMode = 'fast' | 'immediate';

/** A PostgreSQL server for tests and demonstrations, embedded or external. */
export interface PostgresServer {
  /** URL of the server's default database, password included. */
  readonly connectionString: string;
  readonly port: number;
  /** True when the server is that of DATABASE_URL and is not stopped by Waybill. */
  readonly external: boolean;
  /** Process id of the running postmaster; undefined while it is down, or external. */
  readonly pid: number | undefined;
  /** Folder with the data, the log and the password; undefined when external. */
  readonly dataDir: string | undefined;
  /** Starts a server that was killed or stopped; the connection string stays the same. No-op while it runs. */
  start(): Promise<void>;
  /** Stops the server and removes a temporary data directory. No-op when stopped, and for an external server. */
  stop(): Promise<void>;
  /** @throws TestingError SERVER_EXTERNAL */
  restart(mode: RestartMode): Promise<void>;
  /**
   * Sends SIGKILL to the postmaster, for chaos tests. `start()` restarts it.
   * @throws TestingError SERVER_EXTERNAL
   */
  kill(): Promise<void>;
}
