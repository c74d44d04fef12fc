import { randomUUID } from 'node:crypto';
import type { RedisClient } from './redis-connections.js';

/** The name of BullMQ's queue. */
export const TIMER_QUEUE = 'timers';

/** The loader's record in Redis: a process that does not find it, or finds that of another server, reloads. */
export interface WindowRecord {
  /** Changes with every full load. */
  readonly epoch: string;
  /** The server to which it was written, and its replication history. */
  readonly server: string;
  /** The time up to which timers have been loaded, by the database's clock, in milliseconds since the epoch. */
  readonly untilMs: number;
}

/** The result of a check of Redis. */
export interface RedisLook {
  readonly server: string;
  readonly record: WindowRecord | undefined;
}

/** One round trip, and through its key one server even in a cluster: its identity, and the record. */
const LOOK = `local info = redis.call('INFO', 'server') .. redis.call('INFO', 'replication')
local server = (string.match(info, 'run_id:(%w+)') or '') .. '/' .. (string.match(info, 'master_replid:(%w+)') or '')
return { server, redis.call('GET', KEYS[1]) }`;

/** Checks Redis. Rejects if it does not respond in time. */
export async function lookAtRedis(client: RedisClient, key: string): Promise<RedisLook> {
  const [server, text] = (await client.eval(LOOK, 1, key)) as [string, string | null];
  return { server, record: text === null ? undefined : parseRecord(text) };
}

/** Stores the record; rejects if Redis accepts no writes. */
export async function writeRecord(client: RedisClient, key: string, record: WindowRecord): Promise<void> {
  await client.set(key, JSON.stringify(record));
}

export function newEpoch(): string {
  return randomUUID();
}

/** The eviction policy; `unknown` if the server does not report it. */
export async function readEvictionPolicy(client: RedisClient): Promise<string> {
  try {
    const answer = (await client.config('GET', 'maxmemory-policy')) as string[];
    return answer[1] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}

function parseRecord(text: string): WindowRecord | undefined {
  try {
    const { epoch, server, untilMs } = JSON.parse(text) as Partial<WindowRecord>;
    return typeof epoch === 'string' && typeof server === 'string' && typeof untilMs === 'number'
      ? { epoch, server, untilMs }
      : undefined;
  } catch {
    return undefined;
  }
}
