import { type Logger, PgDatabase } from '@waybill/kernel';
import type { LogEngine } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { HistoryWriter } from '../history/history-writer.js';

/** How long a program that is told to block its event loop does so, in milliseconds: longer than every lease here. */
const BLOCKED_MS = 5_000;

/** What every program of the load is started with. */
export interface ProgramSettings {
  /** The database, by the program's own proxy. */
  readonly url: string;
  /** Where its history goes. */
  readonly history: string;
  readonly name: string;
  readonly seed: number;
}

/** A program of the load, with its connections. */
export interface Program {
  readonly database: PgDatabase;
  readonly log: LogEngine;
  readonly logger: Logger;
  readonly history: HistoryWriter;
}

/** The settings that the runner gave to this process. */
export function settingsOf<T extends ProgramSettings>(): T {
  return JSON.parse(process.argv[2] ?? '{}') as T;
}

/** Opens what a program needs, and obeys the runner: SIGUSR2 blocks the event loop, SIGTERM stops. */
export function openProgram(
  { url, history: path, name }: ProgramSettings,
  stop: () => Promise<void>,
  connections = 12,
): Program {
  const print = (text: string): void => console.log(`${new Date().toISOString()} ${text}`);
  const logger: Logger = { debug: () => {}, info: print, warn: print, error: print };
  // The name tells triggers which process writes.
  const database = new PgDatabase({
    connectionString: url,
    connectionsMax: connections,
    applicationName: name,
    logger,
  });
  const log = new PostgresLogEngine(database, { logger });
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
      history.close();
      process.exit(0);
    })();
  });
  log.signals.start();
  return { database, log, logger, history };
}
