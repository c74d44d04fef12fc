/** A PgBouncer in transaction mode that does not track prepared statements, as before its release 1.21. */
export interface Pooler {
  /** The database that it connects to. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Whether there is a PgBouncer on the PATH. */
export function poolerIsAvailable(): boolean;

/**
 * Starts one for a database, which also reaches the others of its server. It ends with this process.
 * @param connectionsMax most connections to a database. Default 8: so few that sessions share them
 */
export function startPooler(databaseUrl: string, connectionsMax?: number): Promise<Pooler>;
