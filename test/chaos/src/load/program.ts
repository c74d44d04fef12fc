import { type Logger, PgDatabase } from '@waybill/kernel';
import type { LogEngine } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { HistoryWriter } from '../history/history-writer.js';

/** How long a program that is told to block its event loop does so, in milliseconds: longer than every lease here. */
const BLOCKED_MS = 5_000;
const BUS_CONNECTIONS = 6;

/** Options of every relay. */
export const RELAY = { pollMaxMs: 100, leaseMs: 2_000 };

/** What every program of the load is started with. */
export interface ProgramSettings {
  /** The database, by the program's own proxy. */
  readonly url: string;
  /** The bus's server, by a proxy of its own; default: that of the services. */
  readonly busServer?: string;
  /** Name of the bus's database; default: the service's database. */
  readonly bus?: string;
  /** Name of the database of another service, whose program this is, on the same server; default: that of the URL. */
  readonly service?: string;
  /** Where its history goes. */
  readonly history: string;
  readonly name: string;
  readonly seed: number;
}

/** A program of the load, with its connections. */
export interface Program {
  /** The service's. */
  readonly database: PgDatabase;
  readonly bus: PgDatabase;
  readonly log: LogEngine;
  readonly logger: Logger;
  readonly history: HistoryWriter;
}

/** The settings that the runner gave to this process. */
export function settingsOf<T extends ProgramSettings>(): T {
  return JSON.parse(process.argv[2] ?? '{}') as T;
}

/** The same server, another database. */
export function databaseUrl(url: string, name: string): string {
  const other = new URL(url);
  other.pathname = `/${name}`;
  return other.href;
}

/** Opens what a program needs, and obeys the runner: SIGUSR2 blocks the event loop, SIGTERM stops. */
export function openProgram(
  { url, busServer = url, history: path, name, bus: busName, service }: ProgramSettings,
  stop: () => Promise<void>,
  connections = 12,
): Program {
  const print = (text: string): void => console.log(`${new Date().toISOString()} ${text}`);
  const logger: Logger = { debug: () => {}, info: print, warn: print, error: print };
  // The name tells triggers which process writes.
  const open = (connectionString: string, connectionsMax: number): PgDatabase =>
    new PgDatabase({ connectionString, connectionsMax, applicationName: name, logger });
  const database = open(service === undefined ? url : databaseUrl(url, service), connections);
  const bus = busName === undefined ? database : open(databaseUrl(busServer, busName), BUS_CONNECTIONS);
  const log = new PostgresLogEngine(bus, { logger, service: database });
  const history = new HistoryWriter(path, name);
  process.on('SIGUSR2', () => {
    print('blocks its event loop');
    const end = performance.now() + BLOCKED_MS;
    while (performance.now() < end);
  });
  process.once('SIGTERM', () => {
    void (async () => {
      await stop();
      await log.signals.stop();
      await database.close();
      if (bus !== database) await bus.close();
      history.close();
      process.exit(0);
    })();
  });
  log.signals.start();
  return { database, bus, log, logger, history };
}
