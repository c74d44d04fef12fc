import { createRequire } from 'node:module';
import { ConfigurationError, type Password } from '@waybill/kernel';
import type {
  Cluster,
  ClusterNode,
  ClusterOptions as AnyClusterOptions,
  Redis,
  RedisOptions as AnyRedisOptions,
} from 'ioredis';
import { openFetching } from './open-fetching.js';

type PlainRedisOptions = Omit<AnyRedisOptions, 'replyMapping'>;
/** Options of ioredis, with a password that may be a function. BullMQ decides how replies are mapped. */
export type RedisOptions = Omit<PlainRedisOptions, 'password'> & { readonly password?: Password };
/** Options of ioredis for a Redis Cluster. */
export type ClusterOptions = Omit<AnyClusterOptions, 'replyMapping' | 'redisOptions'> & {
  readonly redisOptions?: PlainRedisOptions;
};

/** How to connect to Redis: a URL, options of ioredis (including Sentinel), or the nodes of a Redis Cluster. */
export type RedisGiven =
  string | RedisOptions | { readonly cluster: readonly ClusterNode[]; readonly options?: ClusterOptions };

/** A connection to Redis, or to a cluster. */
export type RedisClient = Redis | Cluster;

/** Time limit for a command's response, in milliseconds. */
export const COMMAND_TIMEOUT_MS = 1_000;
const CONNECT_TIMEOUT_MS = 2_000;
const RECONNECT_MAX_MS = 1_000;

/** Packages that only users of Redis install: loaded on demand, and named if missing. */
const load = createRequire(import.meta.url);
const PACKAGES = ['bullmq', 'ioredis'];

/** @throws ConfigurationError if this cannot name a Redis server, or a package for it is missing */
export function assertRedis(given: RedisGiven): void {
  const problems: string[] = [];
  if (typeof given === 'string') {
    if (!/^rediss?:\/\/./.test(given)) problems.push('a URL must begin with redis:// or rediss://');
  } else if (typeof given !== 'object' || given === null) {
    problems.push('it must be a URL, options of ioredis, or { cluster: nodes }');
  } else if ('cluster' in given && (!Array.isArray(given.cluster) || given.cluster.length === 0)) {
    problems.push('cluster must list at least one node');
  }
  if (problems.length === 0) problems.push(...passwordProblems(given));
  const missing = PACKAGES.filter((name) => !isInstalled(name));
  if (missing.length > 0) problems.push(`it needs more packages: npm install ${missing.join(' ')}`);
  if (problems.length > 0) throw new ConfigurationError('The option redis is not usable', problems);
}

function passwordProblems(given: RedisGiven): string[] {
  if (typeof given === 'string') return [];
  const { password, sentinelPassword, options } = given as RedisOptions & {
    readonly options?: ClusterOptions;
  };
  const isFunction = (one: unknown): boolean => typeof one === 'function';
  if (isFunction(options?.redisOptions?.password) || ('cluster' in given && isFunction(password)))
    return ['the password of a cluster must be a string: its client does not support a function'];
  if (isFunction(sentinelPassword))
    return ['sentinelPassword must be a string: its client does not support a function'];
  return password === undefined || password === null || isFunction(password) || typeof password === 'string'
    ? []
    : [`password must be a string, or a function that returns one, got ${typeof password}`];
}

function isInstalled(name: string): boolean {
  try {
    load.resolve(name);
    return true;
  } catch {
    return false;
  }
}

/**
 * Opens a connection that never gives up, and reports errors only to `onError`.
 * @param blocking for BullMQ's worker, whose commands block; all others fail after {@link COMMAND_TIMEOUT_MS}
 */
export function openRedis(
  given: RedisGiven,
  blocking: boolean,
  onError: (error: Error) => void,
): RedisClient {
  const common: PlainRedisOptions = {
    // As BullMQ requires for its connections: a command without a response is not rejected, it waits or times out.
    maxRetriesPerRequest: null,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: backOff,
    ...(blocking ? {} : { commandTimeout: COMMAND_TIMEOUT_MS, enableOfflineQueue: false }),
  };
  const client = connect(given, common);
  client.on('error', onError);
  handleLateErrors(client);
  return client;
}

/**
 * ioredis handles only the first error of a socket. Over TLS a second may follow, when the server reports
 * an aborted handshake; unhandled, it would end the process. BullMQ's worker duplicates this client.
 */
function handleLateErrors(client: RedisClient): void {
  client.on('error', () => {
    const { stream } = client as { readonly stream?: { on(event: 'error', hear: () => void): unknown } };
    stream?.on('error', () => {});
  });
  const duplicate = client.duplicate.bind(client) as (...given: unknown[]) => RedisClient;
  Object.assign(client, {
    duplicate: (...given: unknown[]): RedisClient => {
      const copy = duplicate(...given);
      handleLateErrors(copy);
      return copy;
    },
  });
}

function connect(given: RedisGiven, common: PlainRedisOptions): RedisClient {
  const { Cluster, Redis } = load('ioredis') as typeof import('ioredis');
  if (typeof given === 'string') return new Redis(given, common);
  if (!('cluster' in given)) {
    const { password, ...others } = given;
    const options = { ...others, ...common };
    if (typeof password === 'function') return openFetching(Redis, options, password, backOff);
    return new Redis(password === undefined ? options : { ...options, password });
  }
  const { maxRetriesPerRequest, connectTimeout, commandTimeout } = common;
  return new Cluster([...given.cluster], {
    ...given.options,
    clusterRetryStrategy: backOff,
    enableOfflineQueue: common.enableOfflineQueue ?? true,
    redisOptions: {
      ...given.options?.redisOptions,
      maxRetriesPerRequest: maxRetriesPerRequest ?? null,
      ...(connectTimeout === undefined ? {} : { connectTimeout }),
      ...(commandTimeout === undefined ? {} : { commandTimeout }),
    },
  });
}

function backOff(attempts: number): number {
  return Math.min(attempts * 100, RECONNECT_MAX_MS);
}
