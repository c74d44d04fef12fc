import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { redisIsAvailable, type RedisServer, startRedis } from '@waybill/testing';
import type { Fault, FaultAtWork } from './fault.js';

/** Redis's dump, in the run's folder. */
const DUMP = 'redis.rdb';

/** Why the Redis faults cannot work on this machine; undefined when they can. */
export function whyNoRedis(): string | undefined {
  if ((process.env['REDIS_URL'] ?? '') !== '')
    return 'REDIS_URL is set, and the server of others is not killed: unset it';
  return redisIsAvailable() ? undefined : 'there is no redis-server on the PATH';
}

/** A Redis of the run's own, which writes its data to the run's folder only when it is told; undefined when it cannot be had. */
export async function startRunRedis(folder: string): Promise<RedisServer | undefined> {
  return whyNoRedis() === undefined ? startRedis({ dir: folder, dbfilename: DUMP }) : undefined;
}

function redisFault(
  durationMs: number,
  begin: (redis: RedisServer, folder: string) => FaultAtWork | Promise<FaultAtWork>,
): Fault {
  return {
    durationMs,
    unavailable: whyNoRedis,
    begin: async ({ redis, folder }) => {
      if (redis === undefined)
        throw new Error(`This fault needs Redis: ${whyNoRedis() ?? 'it is not started'}`);
      return begin(redis, folder);
    },
  };
}

/** Redis dies, is away for a while, and comes back empty. */
const redisKilled = redisFault(3_000, async (redis) => {
  await redis.kill();
  return { detail: 'redis', heal: () => redis.start() };
});

/** Somebody empties Redis, again and again. */
const redisFlushed = redisFault(1_000, async (redis) => {
  const flush = async (): Promise<void> => void (await redis.command('FLUSHALL'));
  await flush();
  return { detail: 'FLUSHALL', heal: flush };
});

/** Redis stands still: connections stay open, and nothing is answered. */
const redisStopped = redisFault(8_000, (redis) => {
  redis.pause();
  return { detail: 'redis', heal: async () => redis.resume() };
});

/** Redis is out of memory: it refuses every write. */
const redisFull = redisFault(5_000, async (redis) => {
  await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
  await redis.command('CONFIG', 'SET', 'maxmemory', '1mb');
  return {
    detail: 'maxmemory 1 MB',
    heal: async () => void (await redis.command('CONFIG', 'SET', 'maxmemory', '0')),
  };
});

/** Redis fails over to a copy that is some seconds old. */
const redisFailedOver = redisFault(4_000, async (redis, folder) => {
  await redis.command('SAVE');
  return {
    detail: 'to an older copy',
    heal: async () => {
      await redis.restart();
      // A later kill loses everything, as usual.
      rmSync(join(folder, DUMP), { force: true });
    },
  };
});

/** The Redis faults, by the names that `--fault` takes. */
export const REDIS_FAULTS: Readonly<Record<string, Fault>> = {
  'redis-kill': redisKilled,
  'redis-flush': redisFlushed,
  'redis-stop': redisStopped,
  'redis-memory': redisFull,
  'redis-failover': redisFailedOver,
};
