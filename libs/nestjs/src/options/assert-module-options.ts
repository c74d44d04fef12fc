import { ConfigurationError, isWaybillError } from '@waybill/kernel';
import {
  ADDRESS_OPTIONS,
  addressProblems,
  assertSchemaName,
  show,
  unknownName,
} from '@waybill/kernel/internal';
import { assertTopicName } from '@waybill/log/internal';
import { cloudEventProblems, topicSchemasProblems } from '@waybill/outbox/internal';
import type { AmbientOptions } from './ambient-options.js';
import type { WaybillDatabaseOptions, WaybillModuleOptions } from './waybill-options.js';

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
 * @throws ConfigurationError that lists every problem of the options themselves; the parts check their own options
 * later
 */
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
    problems.push('transactions must be the result of prismaTransactions(client) or a function like it');
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
  if (ambient !== undefined)
    problems.push('ambient and transactionHost are alternatives: set only one of them');
}

function checkDatabase(name: string, database: WaybillDatabaseOptions | undefined, problems: string[]): void {
  if (typeof database !== 'object' || database === null) {
    problems.push(
      `${name} is missing: set it to { connectionString: 'postgresql://…' }, or to host, user, password and database`,
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
    problems.push(`${name}.connectionString must be a string that begins with postgresql://`);
  }
}
