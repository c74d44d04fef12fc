import { ProgressRetention } from '@waybill/consumer';
import { DeadLetterRetention } from '@waybill/dead-letter';
import { HalfMessageRetention } from '@waybill/half-message';
import type { Logger, PgDatabase, Retention } from '@waybill/kernel';
import { LogRetention } from '@waybill/log/postgres';
import { OutboxRetention } from '@waybill/outbox';
import type { WaybillModuleOptions } from '../options/waybill-options.js';

/** What the retention of an instance works with. */
export interface InstanceRetentionDependencies {
  readonly options: WaybillModuleOptions['retention'];
  readonly database: PgDatabase;
  readonly bus: PgDatabase;
  readonly sagas: Retention;
  readonly logger: Logger;
}

/** Turns the rings of an instance's databases, and removes what is past retention. */
export class InstanceRetention {
  readonly log: LogRetention;
  readonly deadLetters: DeadLetterRetention;
  readonly #all: readonly Retention[];

  constructor({ options = {}, database, bus, sagas, logger }: InstanceRetentionDependencies) {
    const { log, deadLetters, outbox, halfMessages } = options;
    this.log = new LogRetention(bus, log, logger);
    this.deadLetters = new DeadLetterRetention(database, deadLetters, logger);
    const progress = log?.intervalMs === undefined ? {} : { intervalMs: log.intervalMs };
    this.#all = [
      this.log,
      this.deadLetters,
      new OutboxRetention(database, outbox, logger),
      new HalfMessageRetention(database, halfMessages, logger),
      new ProgressRetention(database, progress, logger),
      sagas,
    ];
  }

  start(): void {
    for (const { service } of this.#all) service.start();
  }

  async stop(): Promise<void> {
    for (const { service } of this.#all) await service.stop();
  }
}
