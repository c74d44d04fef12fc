import type { ConsumerOptions, SubscriptionOptions } from '@waybill/consumer';
import type { DeadLetterRetentionOptions } from '@waybill/dead-letter';
import type { HalfMessageRetentionOptions } from '@waybill/half-message';
import type { DatabaseAddress, Logger } from '@waybill/kernel';
import type { Cipher, LogRetentionOptions, TopicOptions } from '@waybill/log';
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

/** A database of PostgreSQL 14 or later, by its URL or by the parts of its address, and Waybill's schema in it. */
export type WaybillDatabaseOptions = DatabaseAddress & {
  /** Waybill's schema. Default `waybill`. */
  readonly schema?: string;
  /** Connections of Waybill's own at most, beside those of handlers. Default 10. */
  readonly connectionsMax?: number;
  /**
   * How long a statement of Waybill's own may go unanswered, in milliseconds: then its connection is closed, and what it was
   * for is tried again. Default 15,000.
   */
  readonly queryTimeoutMs?: number;
};

/** Options of {@link WaybillModule}. */
export interface WaybillModuleOptions extends AmbientOptions {
  /** Where the service's own rows, its outbox and its inbox are. */
  readonly database: WaybillDatabaseOptions;
  /** Where the log is. Default: in `database`. */
  readonly bus?: WaybillDatabaseOptions;
  /** How handlers' transactions are opened. Default: by pg, in `database`. */
  readonly transactions?: TransactionRunnerFactory;
  /** The consumer group: usually the service's name. Needed where there are handlers. */
  readonly group?: string;
  /** Topics to create at start when they are missing. */
  readonly topics?: Readonly<Record<string, TopicOptions>>;
  /** Codecs by topic, for publishing and for handlers. Default JSON. */
  readonly codecs?: Readonly<Record<string, Codec>>;
  /** Schemas by topic, of any library that keeps to Standard Schema: for publishing and for handlers. */
  readonly schemas?: TopicSchemas;
  /** Signs what is published, and verifies what is handled before its handler runs. Default: neither. */
  readonly signing?: SigningOptions;
  /** Encrypts whatever is stored: payloads, headers, sagas, results; see `aesCipher`. Default: nothing is encrypted. */
  readonly cipher?: Cipher;
  /**
   * Whether keys of messages are encrypted as well. They stand under a pseudonym then, so that order and partition follow
   * from it; the cipher must have one (`aesCipher` with a `pseudonymKey`). Default false.
   */
  readonly encryptKeys?: boolean;
  /** Makes every message that is published a CloudEvent. Default: none is. */
  readonly cloudEvents?: CloudEventOptions;
  /** Whether this process moves messages from the outbox to the log, and how. Default true; false for API-only processes. */
  readonly relay?: boolean | RelayOptions;
  /** Redis as the clock of timers: a URL, options of ioredis, or a cluster. Default: PostgreSQL is the clock. */
  readonly redis?: RedisGiven;
  /** Whether this process fires timers, and how. Default: where `relay` is on. */
  readonly scheduler?: boolean | TimerServiceOptions;
  /** Whether this process consumes, and how. Default true. */
  readonly consumer?: boolean | ConsumerOptions;
  /** Defaults for every handler; the third argument of `@EventPattern` overrides them. */
  readonly handlers?: SubscriptionOptions;
  /** Half messages of `group`, and whether this process asks about them. */
  readonly halfMessages?: ModuleHalfMessageOptions;
  /** Guards that let a message, an effect or a request take place once. */
  readonly guards?: ModuleGuardOptions;
  /** Sagas that this service defines, and what it holds for those of others. */
  readonly sagas?: ModuleSagaOptions;
  /** Requests to other services. */
  readonly client?: WaybillClientOptions;
  /** Spans of OpenTelemetry, where the application has `@opentelemetry/api`, and the baggage of messages. */
  readonly tracing?: TracingOptions;
  /** How packets are read and answered, and how long an answer may be. */
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
