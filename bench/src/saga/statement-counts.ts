import type pg from 'pg';

/** Counts of what was sent over the connections of a pool. */
export interface StatementCounts {
  statements: number;
  /** Statements sent together share one. */
  trips: number;
}

/** The part of pg's client that its types hide. */
interface Wire {
  bind(config: unknown): void;
  query(text: string): void;
}

/** Counts what is sent over connections that a pool opens from now on. */
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
    // A text without parameters may contain several statements.
    connection.query = function count(this: Wire, text) {
      counts.statements += text.split(';').length;
      counts.trips += 1;
      query.call(this, text);
    };
  });
  return counts;
}
