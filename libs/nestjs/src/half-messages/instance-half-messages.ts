import {
  type HalfMessageCheck,
  HalfMessageChecker,
  type HalfMessageCheckerOptions,
  HalfMessageOperations,
  HalfMessages,
  type HalfMessagesOptions,
  LocalDatabases,
} from '@waybill/half-message';
import type { Logger, PgDatabase, TransactionRunner } from '@waybill/kernel';
import type { LogSignals, Sealer, Topics } from '@waybill/log';
import type { Outbox } from '@waybill/outbox';
import type { TimerAlarm } from '@waybill/timer';
import { hasUpkeep, type WaybillModuleOptions } from '../options/waybill-options.js';

/** Options of half messages in a Nest application. */
export type ModuleHalfMessageOptions = HalfMessagesOptions & {
  /** Whether this process asks about half messages of its group, and how. Default: where `group` is given, and it relays or consumes. */
  readonly check?: boolean | HalfMessageCheckerOptions;
};

/** What the half messages of an instance work with. */
export interface InstanceHalfMessagesDependencies {
  readonly options: WaybillModuleOptions;
  readonly bus: PgDatabase;
  /** The service's own database, known to half messages as `default`. */
  readonly database: PgDatabase;
  readonly transactions: TransactionRunner;
  readonly topics: Topics;
  readonly signals: LogSignals;
  readonly outbox: Outbox;
  readonly alarm: TimerAlarm | undefined;
  readonly logger: Logger;
  readonly sealer: Sealer;
}

/** Half messages of one instance: the service, the operators' desk, and check-back. */
export class InstanceHalfMessages {
  readonly service: HalfMessages;
  readonly operations: HalfMessageOperations;
  /** Asks about half messages; undefined when this process does not. */
  readonly checker: HalfMessageChecker | undefined;
  /** Checks of the user's, by topic. They are found when the application starts. */
  readonly checks = new Map<string, HalfMessageCheck>();

  /** @throws ConfigurationError */
  constructor({ options, database, transactions, outbox, ...parts }: InstanceHalfMessagesDependencies) {
    const { check = hasUpkeep(options), ...rest } = options.halfMessages ?? {};
    const databases = new LocalDatabases([{ name: 'default', transactions, session: database.session }]);
    const group = options.group ?? '';
    this.service = new HalfMessages(
      { ...parts, databases, group, encode: (message, options) => outbox.encode(message, options) },
      rest,
    );
    const { store } = this.service;
    this.operations = new HalfMessageOperations(parts.bus, store, parts.sealer);
    if (check === false || group === '') return;
    this.checker = new HalfMessageChecker(
      {
        bus: parts.bus,
        store,
        group,
        checks: this.checks,
        databases,
        codecs: options.codecs,
        sealer: parts.sealer,
        logger: parts.logger,
      },
      check === true ? {} : check,
    );
  }
}
