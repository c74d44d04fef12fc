import { Consumer, type ConsumerDependencies, type ConsumerOptions } from '@waybill/consumer';
import { type PgDatabase, PgTransactionRunner } from '@waybill/kernel';
import { Outbox, type OutboxOptions } from '@waybill/outbox';
import type { SchemaPart } from '@waybill/schema';

/** What test/setup has prepared for the run. */
interface Places {
  /** The server on which buses are created; without one, a bus is in its service's database. */
  readonly busServer?: string;
  /** Migrated databases to copy; those without a part have both. */
  readonly templates: readonly {
    readonly server: string;
    readonly part?: SchemaPart;
    readonly name: string;
  }[];
  /** Hosts with their ports: of servers, and of the poolers before them. */
  readonly poolers: readonly { readonly server: string; readonly pooler: string }[];
}

const NOTHING = '{"templates":[],"poolers":[]}';

function places(): Places {
  return JSON.parse(process.env['WAYBILL_TEST_PLACES'] ?? NOTHING) as Places;
}

/** Whether Waybill's statements may be prepared: not through the poolers of a run, which lose them. */
export const PREPARED_STATEMENTS = places().poolers.length === 0;

/** URL of the server on which buses are created; undefined when a bus is in its service's database. */
export function busServerUrl(): string | undefined {
  return places().busServer;
}

/** The migrated database of the run that can be copied on a server. */
export function templateOn(server: string, part: SchemaPart | undefined): string | undefined {
  return places().templates.find((one) => one.server === server && one.part === part)?.name;
}

/** A database as a service of the run reaches it: through the pooler before its server, if there is one. */
export function reached(connectionString: string): string {
  const url = new URL(connectionString);
  const found = places().poolers.find(({ server }) => server === url.host);
  if (found === undefined) return connectionString;
  url.host = found.pooler;
  return url.href;
}

/** The transaction runner of a service of the run. */
export function runnerOn(database: PgDatabase): PgTransactionRunner {
  return new PgTransactionRunner(database, PREPARED_STATEMENTS);
}

/** An outbox of a service of the run. */
export function outboxOf(options: OutboxOptions = {}): Outbox {
  return new Outbox({ preparedStatements: PREPARED_STATEMENTS, ...options });
}

/** A consumer of a service of the run. */
export function consumerOf(dependencies: ConsumerDependencies, options: ConsumerOptions = {}): Consumer {
  return new Consumer(dependencies, { preparedStatements: PREPARED_STATEMENTS, ...options });
}
