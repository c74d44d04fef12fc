import {
  ADDRESS_OPTIONS,
  addressProblems,
  assertSchemaName,
  ConfigurationError,
  type DatabaseAddress,
  isWaybillError,
  type Logger,
  show,
  type TransactionRunner,
  unknownName,
} from '@waybill/kernel';
import type { ConsumerOptions, SubscriptionOptions } from '@waybill/consumer';
import { assertTopicName, type LogRetentionOptions, type TopicOptions } from '@waybill/log';
import type { HalfMessageRetentionOptions } from '@waybill/half-message';
import type { AmbientOptions } from '../transactions/ambient-transaction.js';
import type { ModuleGuardOptions } from '../guards/instance-guards.js';
import type { ModuleHalfMessageOptions } from '../half-messages/instance-half-messages.js';
import type { ModuleSagaOptions } from '../sagas/instance-sagas.js';
import type { WaybillClientOptions } from '../client/waybill-client.js';
import type { TracingOptions } from './tracing-options.js';
import type { Cipher } from '@waybill/log';
import type { WaybillServerOptions } from '../server/waybill-server.js';
import type { DeadLetterRetentionOptions } from '@waybill/dead-letter';
import type { RedisGiven, TimerServiceOptions } from '@waybill/timer';
import {
  type CloudEventOptions,
  cloudEventProblems,
  type Codec,
  type OutboxOptions,
  type OutboxRetentionOptions,
  type RelayOptions,
  type TopicSchemas,
  topicSchemasProblems,
  type SigningOptions,
} from '@waybill/outbox';

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

/**
 * Makes the runner of handlers' transactions once the schema is known, and whether Waybill's own statements may be kept
 * prepared; see {@link prismaTransactions} and its kin.
 */
export type TransactionRunnerFactory = (schema: string, prepared: boolean) => TransactionRunner;

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

const KNOWN: Readonly<Record<keyof WaybillModuleOptions, true>> = {
  database: true,
  bus: true,
  transactions: true,
  ambient: true,
  transactionHost: true,
  group: true,
  topics: true,
  codecs: true,
  schemas: true,
  cloudEvents: true,
  signing: true,
  cipher: true,
  encryptKeys: true,
  relay: true,
  redis: true,
  scheduler: true,
  consumer: true,
  handlers: true,
  halfMessages: true,
  guards: true,
  sagas: true,
  client: true,
  server: true,
  tracing: true,
  outbox: true,
  retention: true,
  logger: true,
};

const KNOWN_OF_DATABASE = [...ADDRESS_OPTIONS, 'schema', 'connectionsMax', 'queryTimeoutMs'];

/**
 * Whether this process looks after tables beside publishing: it has the rights of a service then. One that neither relays
 * nor consumes only publishes, and its login may be allowed no more than that.
 */
export function hasUpkeep({ relay, consumer }: WaybillModuleOptions): boolean {
  return relay !== false || consumer !== false;
}

/** @throws ConfigurationError listing every problem of the options themselves; parts check their own further down */
export function assertModuleOptions(options: WaybillModuleOptions): void {
  const problems: string[] = [];
  if (typeof options !== 'object' || options === null) {
    throw new ConfigurationError('The options of WaybillModule are not usable', ['they must be an object']);
  }
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(KNOWN, name)) problems.push(unknownName(name, Object.keys(KNOWN)));
  }
  checkDatabase('database', options.database, problems);
  if (options.bus !== undefined) checkDatabase('bus', options.bus, problems);
  if (options.group !== undefined && !/^[A-Za-z0-9._-]{1,249}$/.test(options.group)) {
    problems.push(
      `group must be 1 to 249 characters of A-Z a-z 0-9 . _ -, got ${JSON.stringify(options.group)}`,
    );
  }
  if (options.transactions !== undefined && typeof options.transactions !== 'function') {
    problems.push('transactions must be what prismaTransactions(client), or another of its kin, returns');
  }
  checkAmbient(options, problems);
  for (const topic of Object.keys(options.topics ?? {})) {
    try {
      assertTopicName(topic);
    } catch (error) {
      if (!isWaybillError(error)) throw error;
      problems.push(error.message.replace(/\.$/, ''));
    }
  }
  if (options.schemas !== undefined) problems.push(...topicSchemasProblems(options.schemas));
  if (options.cloudEvents !== undefined) problems.push(...cloudEventProblems(options.cloudEvents));
  if (problems.length > 0)
    throw new ConfigurationError('The options of WaybillModule are not usable', problems);
}

function checkAmbient({ ambient, transactionHost }: AmbientOptions, problems: string[]): void {
  if (ambient !== undefined && typeof ambient !== 'function')
    problems.push('ambient must be a function that returns the open transaction, or undefined');
  if (transactionHost === undefined) return;
  if (typeof transactionHost?.withTransaction !== 'function')
    problems.push('transactionHost must be the TransactionHost of @nestjs-cls/transactional');
  if (ambient !== undefined) problems.push('ambient and transactionHost say the same: give one of them');
}

function checkDatabase(name: string, database: WaybillDatabaseOptions | undefined, problems: string[]): void {
  if (typeof database !== 'object' || database === null) {
    problems.push(
      `${name} is missing: give it as { connectionString: 'postgresql://…' }, or by host, user, password and database`,
    );
    return;
  }
  for (const key of Object.keys(database)) {
    if (!KNOWN_OF_DATABASE.includes(key)) problems.push(`${name}: ${unknownName(key, KNOWN_OF_DATABASE)}`);
  }
  checkAddress(name, database, problems);
  const ranges = { connectionsMax: [3, 1_000], queryTimeoutMs: [100, 3_600_000] } as const;
  for (const option of ['connectionsMax', 'queryTimeoutMs'] as const) {
    const value = database[option];
    const [min, max] = ranges[option];
    if (value !== undefined && (!Number.isSafeInteger(value) || value < min || value > max))
      problems.push(`${name}.${option} must be a whole number from ${min} to ${max}, got ${show(value)}`);
  }
  if (database.schema === undefined) return;
  try {
    assertSchemaName(database.schema);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    problems.push(`${name}.schema: ${error.problems.join('; ')}`);
  }
}

function checkAddress(name: string, database: WaybillDatabaseOptions, problems: string[]): void {
  const byParts = ADDRESS_OPTIONS.some(
    (option) => option !== 'connectionString' && Object.hasOwn(database, option),
  );
  if (byParts) {
    problems.push(...addressProblems(database).map((problem) => `${name}: ${problem}`));
  } else if (
    typeof database.connectionString !== 'string' ||
    !/^postgres(ql)?:\/\//.test(database.connectionString)
  ) {
    problems.push(`${name}.connectionString must be a text that begins with postgresql://`);
  }
}
