import { LeaseGuard, RedisLeaseStore } from '@waybill/guard';
import { type RedisLeaseClient } from '@waybill/guard/internal';
import { invariant, newId, systemClock } from '@waybill/kernel';
import { openRedis } from '@waybill/timer/internal';
import type { Report } from '../main.js';
import { median } from '../statistics.js';

const EFFECTS = 10_000;
const AT_ONCE = 64;
const ROUNDS = 3;

/** Effects per second under leases in Redis, 64 at a time; each claims a name, does nothing, and marks it as done. */
export async function measureRedisGuard(redis: string, report: Report): Promise<number> {
  const client = openRedis(redis, false, () => {});
  try {
    const guard = new LeaseGuard(new RedisLeaseStore(client as RedisLeaseClient));
    while (client.status !== 'ready') await systemClock.sleep(10);
    const rates: number[] = [];
    for (let round = 0; round <= ROUNDS; round += 1) {
      let ran = 0;
      let left = EFFECTS;
      const started = performance.now();
      await Promise.all(
        Array.from({ length: AT_ONCE }, async () => {
          while (left > 0) {
            left -= 1;
            await guard.once({ scope: 'bench', id: newId() }, () => Promise.resolve((ran += 1)));
          }
        }),
      );
      invariant(ran === EFFECTS, `${ran} effects ran`);
      // The first round warms up.
      if (round > 0) rates.push((EFFECTS / (performance.now() - started)) * 1_000);
    }
    report(`leases in Redis: ${rates.map(Math.round).join(', ')} effects/s`);
    return median(rates);
  } finally {
    client.disconnect();
  }
}
