import type pg from 'pg';

/** What has been sent over the connections of a pool. */
export interface StatementCounts {
  statements: number;
  /** Those that are sent together share one. */
  trips: number;
}

/** What pg's client has beneath its types. */
interface Wire {
  bind(config: unknown): void;
  query(text: string): void;
}

/** Counts what is sent over the connections that a pool opens from now on. */
export function countStatements(pool: pg.Pool): StatementCounts {
  const counts: StatementCounts = { statements: 0, trips: 0 };
  pool.on('connect', (opened) => {
    const { connection } = opened as unknown as { connection: Wire & { sync(): void } };
    const { bind, query, sync } = connection;
    // Batches send through an object that inherits from the connection.
    connection.bind = function count(this: Wire, config) {
      counts.statements += 1;
      bind.call(this, config);
    };
    connection.sync = function count(this: Wire) {
      counts.trips += 1;
      sync.call(this);
    };
    // A text without parameters may hold several.
    connection.query = function count(this: Wire, text) {
      counts.statements += text.split(';').length;
      counts.trips += 1;
      query.call(this, text);
    };
  });
  return counts;
}
