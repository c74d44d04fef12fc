import { expect, test } from '@jest/globals';
import { runChaos } from '../support/chaos.js';
import { describeWithRedis } from '../support/timers.js';

const FAULTS = ['redis-kill', 'redis-flush', 'redis-stop', 'redis-memory', 'redis-failover'];

describeWithRedis('the load', () => {
  test('loses no timer, and fires none twice or early, while Redis fails in every way', async () => {
    const args = `--fault ${FAULTS.join(',')} --seconds 45 --seed 17`;
    const { code, output, summary } = await runChaos(args.split(' '));
    expect(output).not.toContain('broken:');
    expect(summary).toMatchObject({ faults: FAULTS, verdict: 'pass' });
    expect(code).toBe(0);
  });
});
