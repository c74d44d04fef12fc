import {
  type CheckBack,
  HalfMessageChecker,
  HalfMessageOperations,
  HalfMessages,
  LocalDatabases,
} from '@waybill/half-message';
import type { Bell, Logger, PgDatabase, TransactionRunner } from '@waybill/kernel';
import type { LogEngine, Sealer } from '@waybill/log';
import type { Codec, Outbox } from '@waybill/outbox';
import type { TimerAlarm } from '@waybill/timer';
import type { ModuleHalfMessageOptions } from '../options/half-message-options.js';

/** What the half messages of an instance work with. */
export interface InstanceHalfMessagesDependencies {
  readonly options: ModuleHalfMessageOptions | undefined;
  /** The producer group. Without one, no checks run. */
  readonly group: string;
  readonly codecs: Readonly<Record<string, Codec>> | undefined;
  /** Whether this process checks half messages by default. */
  readonly checksByDefault: boolean;
  /** The service's own database, known to half messages as `default`. */
  readonly database: PgDatabase;
  readonly transactions: TransactionRunner;
  readonly log: LogEngine;
  readonly outbox: Outbox;
  readonly bell: Bell;
  readonly alarm: TimerAlarm | undefined;
  readonly logger: Logger;
  readonly sealer: Sealer;
}

/** Half messages of one instance: the service, the operators' actions and check-back. */
export class InstanceHalfMessages {
  readonly service: HalfMessages;
  readonly operations: HalfMessageOperations;
  /** Checks half messages; undefined if this process does not. */
  readonly checker: HalfMessageChecker | undefined;
  /** The user's checks, by topic. They are discovered when the application starts. */
  readonly checks = new Map<string, CheckBack>();

  /** @throws ConfigurationError */
  constructor(dependencies: InstanceHalfMessagesDependencies) {
    const { options, group, codecs, checksByDefault, transactions, outbox, ...shared } = dependencies;
    const { database } = shared;
    const { check = checksByDefault, ...rest } = options ?? {};
    const databases = new LocalDatabases([{ name: 'default', transactions, session: database.session }]);
    this.service = new HalfMessages(
      { ...shared, databases, group, encode: (message, options) => outbox.encode(message, options) },
      rest,
    );
    const { store } = this.service;
    this.operations = new HalfMessageOperations(database, store, shared.sealer);
    if (check === false || group === '') return;
    this.checker = new HalfMessageChecker(
      {
        database,
        store,
        group,
        checks: this.checks,
        databases,
        codecs,
        sealer: shared.sealer,
        logger: shared.logger,
      },
      check === true ? {} : check,
    );
  }
}
