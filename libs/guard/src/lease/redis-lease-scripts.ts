import { createHash } from 'node:crypto';

/** A script, and the hash under which Redis caches it. */
export interface LeaseScript {
  readonly text: string;
  readonly sha: string;
}

function script(text: string): LeaseScript {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/*
 * KEYS[1] is a hash: s (leased, done), f (the fence of its holder), p (fingerprint), r (result), m (the MAC of these).
 * It expires with the lease, or the window. KEYS[2] is the last fence; a new one begins at the microseconds of Redis'
 * clock, so that fences grow even if Redis has lost everything.
 */

/** ARGV: lease, how long the fence is kept, fingerprint ('' for none); milliseconds. */
export const CLAIM = script(`
local held = redis.call('hmget', KEYS[1], 's', 'r', 'p', 'f', 'm')
if held[1] == 'done' then return {'done', held[2], held[3], held[4], held[5]} end
if held[1] then return {'in-progress', redis.call('pttl', KEYS[1])} end
if redis.call('exists', KEYS[2]) == 0 then
  local now = redis.call('time')
  redis.call('set', KEYS[2], now[1] .. string.format('%06d', tonumber(now[2])))
end
redis.call('incr', KEYS[2])
redis.call('pexpire', KEYS[2], ARGV[2])
local fence = redis.call('get', KEYS[2])
redis.call('hset', KEYS[1], 's', 'leased', 'f', fence)
if ARGV[3] ~= '' then redis.call('hset', KEYS[1], 'p', ARGV[3]) end
redis.call('pexpire', KEYS[1], ARGV[1])
return {'claimed', fence}
`);

/** Shared by the scripts: whether the caller's fence is the last one. A name that is free and that Redis
 * has forgotten counts as the caller's. */
const IS_MINE = `
local function mine()
  local held = redis.call('hmget', KEYS[1], 's', 'f')
  if held[1] == 'done' then return held[2] == ARGV[1] and 'done' or nil end
  if held[1] then return held[2] == ARGV[1] and 'leased' or nil end
  local last = redis.call('get', KEYS[2])
  return (not last or last == ARGV[1]) and 'free' or nil
end
`;

/** ARGV: fence, lease, how long the fence is kept. */
export const RENEW = script(`${IS_MINE}
local how = mine()
if how ~= 'leased' and how ~= 'free' then return 0 end
redis.call('hset', KEYS[1], 's', 'leased', 'f', ARGV[1])
redis.call('pexpire', KEYS[1], ARGV[2])
redis.call('set', KEYS[2], ARGV[1], 'px', ARGV[3])
return 1
`);

/**
 * ARGV: fence, window, whether there is a result ('1'), the result, the MAC ('' for none), and the fingerprint that it
 * covers.
 */
export const FINISH = script(`${IS_MINE}
local how = mine()
if not how then return 0 end
if how == 'done' then return 1 end
redis.call('hset', KEYS[1], 's', 'done', 'f', ARGV[1])
if ARGV[3] == '1' then redis.call('hset', KEYS[1], 'r', ARGV[4]) else redis.call('hdel', KEYS[1], 'r') end
if ARGV[5] ~= '' then
  redis.call('hset', KEYS[1], 'm', ARGV[5], 'p', ARGV[6])
  if ARGV[6] == '' then redis.call('hdel', KEYS[1], 'p') end
end
redis.call('pexpire', KEYS[1], ARGV[2])
return 1
`);

/** ARGV: fence. A late renewal must find another fence. */
export const RELEASE = script(`${IS_MINE}
if mine() == 'leased' then
  redis.call('del', KEYS[1])
  if redis.call('exists', KEYS[2]) == 1 then redis.call('incr', KEYS[2]) end
end
return 1
`);
