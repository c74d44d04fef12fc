import { once } from 'node:events';
import { describeError } from '@waybill/kernel';
import { openRedis } from '@waybill/timer/internal';
import { type Finding, ok, problem, warning } from './finding.js';

const REACH_MS = 3_000;
const NEEDED_POLICY = 'noeviction';

/** Whether Redis responds and keeps its data. @param url redis:// or rediss:// */
export async function checkRedis(url: string): Promise<Finding> {
  let last = 'it did not respond in time';
  let client;
  try {
    client = openRedis(url, false, (error) => {
      last = describeError(error);
    });
  } catch (error) {
    return problem(
      'redis',
      describeError(error),
      'Install the packages it needs: npm install bullmq ioredis.',
    );
  }
  try {
    await once(client, 'ready', { signal: AbortSignal.timeout(REACH_MS) }).catch(() => {
      throw new Error(last);
    });
    return policyFinding(await readPolicy(client));
  } catch (error) {
    return problem(
      'redis',
      `it cannot be reached: ${describeError(error)}`,
      'Start it, or correct the address. Until then only the database fires timers, less punctually.',
    );
  } finally {
    client.disconnect();
  }
}

/** The policy; undefined if the server does not report it, as managed servers may not. */
async function readPolicy(client: ReturnType<typeof openRedis>): Promise<string | undefined> {
  try {
    return ((await client.config('GET', 'maxmemory-policy')) as string[])[1];
  } catch {
    return undefined;
  }
}

function policyFinding(policy: string | undefined): Finding {
  const advice = `Set maxmemory-policy to ${NEEDED_POLICY}: BullMQ's jobs must not be evicted.`;
  if (policy === undefined) return warning('redis', 'it does not report its maxmemory-policy', advice);
  return policy === NEEDED_POLICY
    ? ok('redis', `it responds, and its maxmemory-policy is ${policy}`)
    : problem('redis', `its maxmemory-policy is ${policy}`, advice);
}
