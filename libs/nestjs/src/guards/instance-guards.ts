import {
  BarrierParticipant,
  EffectOperations,
  ExternalEffects,
  fallbackLeaseStore,
  MessageIdGuard,
  LeaseGuard,
  type LeaseStore,
  GuardRetention,
  PostgresLeaseStore,
  RedisLeaseStore,
} from '@waybill/guard';
import { LeaseSeal, type RedisLeaseClient } from '@waybill/guard/internal';
import { ConfigurationError, type Logger, type PgDatabase, resolveOptions } from '@waybill/kernel';
import type { Sealer } from '@waybill/log';
import { joinTransaction } from '@waybill/outbox';
import { type RedisGiven } from '@waybill/timer';
import { openRedis, type RedisClient } from '@waybill/timer/internal';
import { type GuardedHandler, type GuardHorizons, problemsOfWindows } from './guard-windows.js';
import { HandlerGuards } from './handler-guards.js';
import { RequestGuard } from './request-guard.js';
import { ScopedLeaseStore } from './scoped-lease-store.js';
import { GUARD_SPECS, type ModuleGuardOptions } from '../options/guard-options.js';

/** The longest window of a lease guard. */
const LEASE_WINDOW_MAX_MS = 42 * 86_400_000;

/** What the guards of an instance work with. */
export interface InstanceGuardsDependencies {
  /** Of the instance. */
  readonly name: string;
  /** The service's name; undefined if the module has none. */
  readonly group: string | undefined;
  readonly options: ModuleGuardOptions | undefined;
  /** Where leases are kept; undefined: in PostgreSQL. */
  readonly redis: RedisGiven | undefined;
  /** The prefix of every key in Redis. */
  readonly redisPrefix: string;
  /** Whether statements in others' transactions may stay prepared. */
  readonly preparedStatements: boolean;
  /** Of the service's own database. */
  readonly databaseName: string;
  /** The database in which effects are stored. */
  readonly database: PgDatabase;
  readonly logger: Logger;
  readonly sealer: Sealer;
}

/** The guards of one instance: of messages, of effects without a transaction, and of requests. */
export class InstanceGuards {
  readonly messageIdGuard: MessageIdGuard;
  /** For effects outside of any transaction. */
  readonly leases: LeaseGuard;
  /** For requests with an `Idempotency-Key`. */
  readonly requests: RequestGuard;
  readonly handlers: HandlerGuards;
  /** Effects outside of any database, such as charging a card. */
  readonly effects: ExternalEffects;
  readonly effectOperations: EffectOperations;
  /** Operations of distributed transactions. */
  readonly barrier: BarrierParticipant;
  readonly retention: GuardRetention;
  readonly #leaseWindowMs: number;
  #redis: RedisClient | undefined;
  #redisLeases: RedisLeaseStore | undefined;

  /** @throws ConfigurationError */
  constructor(dependencies: InstanceGuardsDependencies) {
    const { options, group, preparedStatements, database, logger, sealer } = dependencies;
    const guard = { logger, sealing: { sealer, session: database.session } };
    const {
      withoutRedis,
      lease = {},
      requests = {},
      effects,
      barrier,
      retention,
      ...ofMessageIds
    } = options ?? {};
    const join = (tx: unknown) => joinTransaction(tx, database.schema, preparedStatements).session;
    this.messageIdGuard = new MessageIdGuard({ join, sealer }, ofMessageIds);
    this.effects = new ExternalEffects(database.session, effects, { logger, sealer });
    this.effectOperations = new EffectOperations({ database, sealer });
    this.barrier = new BarrierParticipant({ join, sealer }, barrier);
    const choice = resolveOptions('guards', GUARD_SPECS, { withoutRedis });
    const store = this.#openStore(dependencies, choice.withoutRedis);
    const scope = scopeOf(dependencies);
    const leaseOptions = {
      ...lease,
      windowMs: lease.windowMs ?? Math.min(this.messageIdGuard.windowMs, LEASE_WINDOW_MAX_MS),
    };
    this.#leaseWindowMs = leaseOptions.windowMs;
    this.leases = new LeaseGuard(new ScopedLeaseStore(store, `${scope}/own`), leaseOptions, guard);
    this.requests = new RequestGuard(
      new ScopedLeaseStore(store, `${scope}/request`),
      { onConflict: 'refuse', ...requests },
      guard,
    );
    this.handlers = new HandlerGuards({
      messageIdGuard: this.messageIdGuard,
      store: new ScopedLeaseStore(store, `${scope}/handler`),
      leaseOptions,
      group: group ?? '',
      guard,
    });
    this.retention = new GuardRetention(database.session, retention, logger);
  }

  /** @throws ConfigurationError that lists every window that is too short */
  assertWindows(handlers: readonly GuardedHandler[], horizons: Omit<GuardHorizons, 'windowMs'>): void {
    const windowMs = { 'message-id': this.messageIdGuard.windowMs, lease: this.#leaseWindowMs };
    const problems = problemsOfWindows(handlers, { ...horizons, windowMs });
    if (problems.length > 0)
      throw new ConfigurationError('The windows of the guards are too short', problems);
  }

  /** Number of lease values in Redis that this service did not write; undefined without Redis. */
  get forgedLeases(): number | undefined {
    return this.#redisLeases?.forged;
  }

  start(): void {
    this.retention.service.start();
  }

  async stop(): Promise<void> {
    await this.retention.service.stop();
    this.#redis?.disconnect();
  }

  #openStore(
    { name, group, redis, redisPrefix, database, logger }: InstanceGuardsDependencies,
    withoutRedis: 'refuse' | 'postgres',
  ): LeaseStore {
    const postgres = new PostgresLeaseStore(database.session);
    if (redis === undefined) return postgres;
    // Connection problems show when the connection is used.
    this.#redis = openRedis(redis, false, () => {});
    // The braces keep all timer keys in one cluster slot; leases are spread over the cluster.
    const prefix = `${redisPrefix.replaceAll(/[{}]/g, '')}:guard`;
    const seal = new LeaseSeal(database.session, group ?? name);
    const client = this.#redis as RedisLeaseClient;
    this.#redisLeases = new RedisLeaseStore(client, { prefix }, { seal, logger });
    return fallbackLeaseStore(this.#redisLeases, withoutRedis === 'postgres' ? postgres : 'refuse', logger);
  }
}

/**
 * Distinguishes an instance from others that share its Redis or its database: by group, database and schema. The group
 * comes first, because the database identifies a guard's owner by it.
 */
function scopeOf({ name, group, databaseName, database }: InstanceGuardsDependencies): string {
  return `${group ?? name}/${databaseName}/${database.schema}`;
}
