import { fallbackLeaseStore, type LeaseStore, PostgresLeaseStore, RedisLeaseStore } from '@waybill/guard';
import { LeaseSeal } from '@waybill/guard/internal';
import type { SqlSession } from '@waybill/kernel';
import type { RedisServer } from '@waybill/testing';
import { Redis } from 'ioredis';

/** Where leases can be stored: `backed` is Redis with PostgreSQL as its fallback. */
export type LeaseKind = 'postgres' | 'redis' | 'backed';

/** Connections to Redis that are closed together. */
export class LeaseStores {
  readonly #clients: Redis[] = [];

  constructor(
    private readonly session: SqlSession,
    private readonly redis: () => RedisServer,
  ) {}

  of(kind: LeaseKind): LeaseStore {
    const postgres = new PostgresLeaseStore(this.session);
    if (kind === 'postgres') return postgres;
    const client = new Redis(this.redis().url, {
      maxRetriesPerRequest: null,
      enableOfflineQueue: false,
      retryStrategy: () => 20,
      lazyConnect: false,
    });
    client.on('error', () => {});
    this.#clients.push(client);
    const seal = new LeaseSeal(this.session, 'leases');
    const redis = new RedisLeaseStore(client, { commandTimeoutMs: 1_000 }, { seal });
    return kind === 'redis' ? redis : fallbackLeaseStore(redis, postgres);
  }

  /** Resolves when every connection is ready. */
  async ready(): Promise<void> {
    for (const client of this.#clients)
      while (client.status !== 'ready') await new Promise((resolve) => setImmediate(resolve));
  }

  close(): void {
    for (const client of this.#clients.splice(0)) client.disconnect();
  }
}
