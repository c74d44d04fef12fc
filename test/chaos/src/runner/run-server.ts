import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedPostgres, startPostgres, TestCluster } from '@waybill/testing';
import { TcpProxy } from '../faults/tcp-proxy.js';
import { mountSmallDisk, unmount } from './mount-namespace.js';

const DISK_MEGABYTES = 600;
const SETTINGS = { max_prepared_transactions: '20' };

/** What holds the databases of a server. */
export type ServerRole = 'service' | 'bus';

/** What a server of a run is to be able to do. */
export interface RunServerOptions {
  /** Its disk is a file system that can be filled; needs a mount namespace. Such a server has no replica. */
  readonly hasSmallDisk: boolean;
  /** It has a synchronous replica, to which it can fail over. */
  readonly hasReplica: boolean;
}

/** A server of a run. */
export class RunServer {
  private constructor(
    /** Whose it is: `service` of both where they share one. */
    readonly role: ServerRole,
    private readonly single: EmbeddedPostgres | undefined,
    private readonly cluster: TestCluster | undefined,
    /** The address that moves to the new primary. */
    private readonly address: TcpProxy | undefined,
    private readonly release: () => void,
  ) {}

  static async start(role: ServerRole, { hasSmallDisk, hasReplica }: RunServerOptions): Promise<RunServer> {
    if (hasSmallDisk) {
      const dataDir = mkdtempSync(join(tmpdir(), 'waybill-chaos-disk-'));
      mountSmallDisk(dataDir, DISK_MEGABYTES);
      const server = await startPostgres({ settings: { ...SETTINGS, max_wal_size: '128MB' }, dataDir });
      return new RunServer(role, server, undefined, undefined, () => {
        unmount(dataDir);
        rmSync(dataDir, { recursive: true, force: true });
      });
    }
    if (!hasReplica)
      return new RunServer(role, await startPostgres({ settings: SETTINGS }), undefined, undefined, () => {});
    const cluster = await TestCluster.start({ settings: SETTINGS, synchronous: true });
    const address = await TcpProxy.start(cluster.primary.connectionString);
    return new RunServer(role, undefined, cluster, address, () => {});
  }

  /** The server that takes writes. */
  get current(): EmbeddedPostgres {
    return (this.cluster?.primary ?? this.single) as EmbeddedPostgres;
  }

  get hasReplica(): boolean {
    return this.cluster !== undefined;
  }

  /** Reaches the server that takes writes, also after a failover. */
  get connectionString(): string {
    return this.address?.url ?? this.current.connectionString;
  }

  /** Log files of its servers. */
  get logFiles(): string[] {
    const { cluster } = this;
    return (cluster === undefined ? [this.current] : [cluster.primary, cluster.replica]).map(
      ({ logFile }) => logFile,
    );
  }

  /** The primary crashes and stays away, and the replica takes its place. Needs one. */
  async failOver(): Promise<void> {
    const { cluster, address } = this;
    if (cluster === undefined) throw new Error(`the server of the ${this.role} has no replica`);
    await cluster.stopPrimary('immediate');
    await cluster.promote();
    address?.moveTo(this.current.connectionString);
  }

  /** The server that failed becomes the new primary's replica. */
  async restoreReplica(): Promise<void> {
    await this.cluster?.rebuildReplica();
  }

  async stop(): Promise<void> {
    await this.address?.close();
    await this.cluster?.stop();
    await this.single?.stop();
    this.release();
  }
}
