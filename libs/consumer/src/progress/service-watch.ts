import {
  BackgroundService,
  bindStatement,
  type Clock,
  describeError,
  type Logger,
  type PassResult,
  type PgDatabase,
} from '@waybill/kernel';
import { statement } from '@waybill/kernel/internal';

const askService = statement<[], Record<never, never>>('ask-service', 'select 1 as alive');

/** Dependencies of a {@link ServiceWatch}. */
export interface ServiceWatchDependencies {
  readonly group: string;
  /** The service's database. */
  readonly database: PgDatabase;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Asks the service's database three times in a lease whether it answers. A member that reaches the log and not that
 * database would keep its partitions, and handle nothing.
 */
export class ServiceWatch {
  readonly #service: BackgroundService;
  /** When the first question was asked that got no answer, if none has got one since. */
  #silentSince: number | undefined;
  #isReported = false;

  constructor(private readonly dependencies: ServiceWatchDependencies) {
    const { group, leaseMs, clock } = dependencies;
    this.#service = new BackgroundService({
      name: `the watch of the database of group ${group}`,
      runOnce: () => this.#ask(),
      idleMinMs: Math.ceil(leaseMs / 3),
      idleMaxMs: Math.ceil(leaseMs / 3),
      clock,
      logger: dependencies.logger,
    });
  }

  /** Whether the database has not answered for a lease. */
  get isCutOff(): boolean {
    const { clock, leaseMs } = this.dependencies;
    return this.#silentSince !== undefined && clock.monotonic() - this.#silentSince > leaseMs;
  }

  start(): void {
    this.#service.start();
  }

  stop(): Promise<void> {
    return this.#service.stop();
  }

  async #ask(): Promise<PassResult> {
    const { database, leaseMs, clock } = this.dependencies;
    const askedAt = clock.monotonic();
    let isConnected = false;
    try {
      await database.withConnection((connection) => {
        isConnected = true;
        return connection.runBatch([bindStatement(askService)], { timeoutMs: Math.ceil(leaseMs / 3) });
      });
      this.#silentSince = undefined;
    } catch (error) {
      // Handlers that have every connection of the pool say nothing about the server.
      const isPoolFull = database.pool.totalCount >= (database.pool.options.max ?? 0);
      if (isConnected || !isPoolFull) this.#silentSince ??= askedAt;
      this.#report(error);
      return 'idle';
    }
    this.#report();
    return 'idle';
  }

  #report(error?: unknown): void {
    if (this.#isReported === this.isCutOff) return;
    this.#isReported = this.isCutOff;
    const { group, logger } = this.dependencies;
    if (this.#isReported)
      logger.error(
        `the service's database does not answer (${describeError(error)}): other members may take this one's partitions`,
        { group },
      );
    else logger.info("the service's database answers again", { group });
  }
}
