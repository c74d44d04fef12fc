import { chmod, mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { Lifeline } from '../process/lifeline.js';
import { waitUntil } from '../wait-until.js';
import { makeStandby, takeBaseBackup } from './base-backup.js';
import { type EmbeddedPostgres, startPostgres, type StartPostgresOptions } from './embedded-postgres.js';
import { newTemporaryPath, unprivilegedUser, type UnprivilegedUser } from './unprivileged-user.js';

/** Options of a primary and its replica. */
export interface TestClusterOptions extends Pick<StartPostgresOptions, 'version' | 'settings' | 'database'> {
  /** Whether a commit waits until the replica has flushed it. Default false. */
  readonly synchronous?: boolean;
}

/** How a primary is stopped: `fast` sends all WAL to the replica first, `immediate` is a crash. */
export type StopMode = 'fast' | 'immediate';

/** By this name a replica is known to its primary. */
const REPLICA = 'waybill_replica';
/** WAL kept for a replica that does not receive for a while. */
const WAL_KEEP = '512MB';
const WAIT_MS = 60_000;

/**
 * A primary and a streaming replica of it, for tests of failover. Both keep their ports through stops, promotions and
 * rebuilds, so that one URL reaches whichever is the primary.
 */
export class TestCluster {
  private constructor(
    private readonly root: string,
    private readonly lifeline: Lifeline,
    private readonly synchronous: boolean,
    private roles: { readonly primary: EmbeddedPostgres; readonly replica: EmbeddedPostgres },
  ) {}

  /** @throws TestingError as {@link startPostgres} */
  static async start(options: TestClusterOptions = {}): Promise<TestCluster> {
    const { synchronous = false, settings = {}, ...rest } = options;
    const root = await newTemporaryPath('cluster', unprivilegedUser());
    const lifeline = Lifeline.open();
    lifeline.remove(root);
    await mkdir(root, { mode: 0o700 });
    if (unprivilegedUser() !== undefined) await chmod(root, 0o755);
    const started: EmbeddedPostgres[] = [];
    try {
      const of = (name: string): StartPostgresOptions => ({
        ...rest,
        dataDir: join(root, name),
        settings: { wal_keep_size: WAL_KEEP, ...settings },
      });
      const primary = await startPostgres(of('a'));
      started.push(primary);
      await copyTo(primary, join(root, 'b'));
      const replica = await startPostgres(of('b'));
      started.push(replica);
      const cluster = new TestCluster(root, lifeline, synchronous, { primary, replica });
      await cluster.untilStreaming();
      if (synchronous) await cluster.setSynchronous();
      return cluster;
    } catch (error) {
      await Promise.all(started.map((server) => server.stop()));
      await removeAll(root, lifeline);
      throw error;
    }
  }

  /** The server that takes writes; after {@link promote}, the other one. */
  get primary(): EmbeddedPostgres {
    return this.roles.primary;
  }

  /** The server that is not the primary. */
  get replica(): EmbeddedPostgres {
    return this.roles.replica;
  }

  /** URL of both servers, for the one that takes writes. */
  get url(): string {
    const url = new URL(this.primary.connectionString);
    const login = `${url.username}:${url.password}`;
    const hosts = [this.primary, this.replica].map(({ port }) => `127.0.0.1:${port}`).toSorted();
    return `postgresql://${login}@${hosts.join(',')}${url.pathname}?target_session_attrs=read-write`;
  }

  /** Stops the primary, and does nothing about the replica. */
  async stopPrimary(mode: StopMode): Promise<void> {
    await (mode === 'fast' ? this.primary.stop() : this.primary.kill());
  }

  /** Makes the replica the primary: it takes writes when this resolves. The old primary should be stopped. */
  async promote(): Promise<void> {
    const { primary, replica } = this.roles;
    await onServer(replica, async (client) => {
      await client.query('select pg_promote(true, 60)');
    });
    this.roles = { primary: replica, replica: primary };
  }

  /** Makes the server that is not the primary a new copy of it, which follows it. Its own data are lost. */
  async rebuildReplica(): Promise<void> {
    const { primary, replica } = this.roles;
    await replica.stop();
    await rm(join(replica.dataDir, 'data'), { recursive: true, force: true });
    await copyTo(primary, replica.dataDir);
    await replica.start();
    await this.untilStreaming();
    if (this.synchronous) await this.setSynchronous();
  }

  /**
   * From now on the replica receives nothing: what the primary commits is lost when the replica is promoted. A
   * synchronous primary does not answer a COMMIT any more.
   */
  async pauseReplication(): Promise<void> {
    await onServer(this.replica, async (client) => {
      await client.query(`alter system set primary_conninfo to ''`);
      await client.query('select pg_reload_conf()');
    });
    await this.untilReceivers(0);
  }

  /** Ends {@link pauseReplication}: the replica catches up. */
  async resumeReplication(): Promise<void> {
    const conninfo = conninfoOf(this.primary);
    await onServer(this.replica, async (client) => {
      await client.query(`alter system set primary_conninfo to ${pg.escapeLiteral(conninfo)}`);
      await client.query('select pg_reload_conf()');
    });
    await this.untilStreaming();
  }

  /** Waits until the replica shows all that the primary has committed so far. */
  async untilCaughtUp(): Promise<void> {
    const position = await valueOn(this.primary, 'select pg_current_wal_flush_lsn()::text');
    await waitUntil(
      async () =>
        (await valueOn(
          this.replica,
          `select coalesce(pg_last_wal_replay_lsn() >= ${pg.escapeLiteral(String(position))}::pg_lsn, true)`,
        )) === true,
      { describe: `the replica has replayed ${String(position)}`, timeoutMs: WAIT_MS },
    );
  }

  /** Stops both and removes their data. */
  async stop(): Promise<void> {
    // A replica that is stopped first does not delay the primary, which waits for it to receive everything.
    for (const server of [this.replica, this.primary]) {
      await server.kill();
      await server.stop();
    }
    await removeAll(this.root, this.lifeline);
  }

  private untilStreaming(): Promise<void> {
    return this.untilReceivers(1);
  }

  private async untilReceivers(wanted: number): Promise<void> {
    const count = `select count(*)::int from pg_stat_replication where application_name = '${REPLICA}' and state = 'streaming'`;
    await waitUntil(async () => (await valueOn(this.primary, count)) === wanted, {
      describe: `${wanted} replicas receive from the primary`,
      timeoutMs: WAIT_MS,
    });
  }

  /** Only once the replica follows: before, the primary would answer no COMMIT. */
  private async setSynchronous(): Promise<void> {
    await onServer(this.primary, async (client) => {
      await client.query(`alter system set synchronous_standby_names to '${REPLICA}'`);
      await client.query('select pg_reload_conf()');
    });
    await waitUntil(
      async () => (await valueOn(this.primary, 'select sync_state from pg_stat_replication')) === 'sync',
      { describe: 'the replica is synchronous', timeoutMs: WAIT_MS },
    );
  }
}

async function copyTo(primary: EmbeddedPostgres, folder: string): Promise<void> {
  const [source, target] = [primary.dataDir, folder].map((path) => join(path, 'data')) as [string, string];
  const user = await ownerOf(source);
  await mkdir(folder, { recursive: true });
  await takeBaseBackup({ connectionString: primary.connectionString, source, target, user });
  await makeStandby(target, conninfoOf(primary), user);
}

async function ownerOf(data: string): Promise<UnprivilegedUser | undefined> {
  return unprivilegedUser(await stat(data));
}

function conninfoOf(primary: EmbeddedPostgres): string {
  const { hostname, port, username, password } = new URL(primary.connectionString);
  const parts = { host: hostname, port, user: username, password, application_name: REPLICA };
  return Object.entries(parts)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

async function valueOn(server: EmbeddedPostgres, text: string): Promise<unknown> {
  return onServer(server, async (client) => {
    const { rows } = await client.query<Record<string, unknown>>(text);
    return Object.values(rows[0] ?? {})[0];
  });
}

async function onServer<T>(server: EmbeddedPostgres, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: server.connectionString });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function removeAll(root: string, lifeline: Lifeline): Promise<void> {
  await rm(root, { recursive: true, force: true });
  await lifeline.close();
}
