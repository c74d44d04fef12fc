import type { ConsumerOptions, SubscriptionOptions } from '@waybill/consumer';
import type { DeadLetterRetentionOptions } from '@waybill/dead-letter';
import type { HalfMessageRetentionOptions } from '@waybill/half-message';
import type { DatabaseAddress, Logger } from '@waybill/kernel';
import type { Cipher, TopicOptions } from '@waybill/log';
import type { LogRetentionOptions } from '@waybill/log/postgres';
import type {
  CloudEventOptions,
  Codec,
  OutboxOptions,
  OutboxRetentionOptions,
  RelayOptions,
  SigningOptions,
  TopicSchemas,
} from '@waybill/outbox';
import type { RedisGiven, TimerServiceOptions } from '@waybill/timer';
import type { AmbientOptions } from './ambient-options.js';
import type { WaybillClientOptions } from './client-options.js';
import type { ModuleGuardOptions } from './guard-options.js';
import type { ModuleHalfMessageOptions } from './half-message-options.js';
import type { TransactionRunnerFactory } from './runner-factory.js';
import type { ModuleSagaOptions } from './saga-options.js';
import type { WaybillServerOptions } from './server-options.js';
import type { TracingOptions } from './tracing-options.js';

/**
 * A database of PostgreSQL 14 or later, by its URL or by the parts of its address, and the name of Waybill's schema.
 */
export type WaybillDatabaseOptions = DatabaseAddress & {
  /** Waybill's schema. Default `waybill`. */
  readonly schema?: string;
  /** Maximum number of Waybill's own connections, in addition to those of handlers. Default 10. */
  readonly connectionsMax?: number;
  /**
   * Time limit of Waybill's own statements, in milliseconds: a connection that does not respond in time is closed, and
   * its work is retried. Default 15,000.
   */
  readonly queryTimeoutMs?: number;
};

/** Options of {@link WaybillModule}. */
export interface WaybillModuleOptions extends AmbientOptions {
  /** The service's database: its own rows, its outbox, its progress. */
  readonly database: WaybillDatabaseOptions;
  /** The database with the log. Default: `database`. */
  readonly bus?: WaybillDatabaseOptions;
  /** How handlers' transactions are opened. Default: by pg, in `database`. */
  readonly transactions?: TransactionRunnerFactory;
  /** The consumer group: usually the service's name. Required if there are handlers. */
  readonly group?: string;
  /** Topics to create at start if they are missing. */
  readonly topics?: Readonly<Record<string, TopicOptions>>;
  /** Codecs by topic, for publishing and for handlers. Default JSON. */
  readonly codecs?: Readonly<Record<string, Codec>>;
  /** Schemas by topic, from any library that implements Standard Schema: for publishing and for handlers. */
  readonly schemas?: TopicSchemas;
  /** Signs published messages, and verifies messages before their handlers run. Default: neither. */
  readonly signing?: SigningOptions;
  /**
   * Encrypts everything that is stored: payloads, headers, sagas, results; see `aesCipher`. Default: nothing is
   * encrypted.
   */
  readonly cipher?: Cipher;
  /**
   * Whether message keys are encrypted as well. They are then stored under a pseudonym, which determines order and
   * partition; the cipher must support it (`aesCipher` with a `pseudonymKey`). Default false.
   */
  readonly encryptKeys?: boolean;
  /** Publishes every message as a CloudEvent. Default: off. */
  readonly cloudEvents?: CloudEventOptions;
  /** Whether this process moves messages from the outbox to the log, and how. Default true; false for API-only processes. */
  readonly relay?: boolean | RelayOptions;
  /** Redis as the clock of timers: a URL, options of ioredis, or a cluster. Default: PostgreSQL is the clock. */
  readonly redis?: RedisGiven;
  /** Whether this process fires timers, and how. Default: if `relay` is on. */
  readonly scheduler?: boolean | TimerServiceOptions;
  /** Whether this process consumes, and how. Default true. */
  readonly consumer?: boolean | ConsumerOptions;
  /** Defaults for every handler; the third argument of `@EventPattern` overrides them. */
  readonly handlers?: SubscriptionOptions;
  /** Half messages of `group`, and whether this process checks them. */
  readonly halfMessages?: ModuleHalfMessageOptions;
  /** Guards that let a message, an effect or a request take effect once. */
  readonly guards?: ModuleGuardOptions;
  /** Sagas that this service defines, and its locks for sagas of other services. */
  readonly sagas?: ModuleSagaOptions;
  /** Requests to other services. */
  readonly client?: WaybillClientOptions;
  /** OpenTelemetry spans, if the application has `@opentelemetry/api`, and the baggage of messages. */
  readonly tracing?: TracingOptions;
  /** How packets are read and replied to, and how many values a reply may have. */
  readonly server?: WaybillServerOptions;
  readonly outbox?: Pick<OutboxOptions, 'maxMessageBytes' | 'order' | 'preparedStatements'>;
  readonly retention?: {
    readonly log?: LogRetentionOptions;
    readonly outbox?: OutboxRetentionOptions;
    readonly deadLetters?: DeadLetterRetentionOptions;
    readonly halfMessages?: HalfMessageRetentionOptions;
  };
  /** Default: Nest's logger. */
  readonly logger?: Logger;
}
