import { expect, test } from '@jest/globals';
import { Permits } from '../src/delivery/permits.js';

test('grants no more permits than there are, and an exclusive one only when no other is held', async () => {
  let freed = 0;
  const permits = new Permits(2, () => {
    freed += 1;
  });
  const a = permits.tryAcquire();
  const b = permits.tryAcquire();
  expect([a, b].every((permit) => permit !== undefined)).toBe(true);
  expect(permits.tryAcquire()).toBeUndefined();
  const events: string[] = [];
  const alone = permits.acquireExclusive().then((permit) => {
    events.push('alone');
    return permit;
  });
  const later = permits.acquire().then((permit) => {
    events.push('later');
    return permit;
  });
  a?.release();
  expect(permits.tryAcquire()).toBeUndefined();
  b?.release();
  b?.release();
  const only = await alone;
  expect(permits.tryAcquire()).toBeUndefined();
  expect(events).toEqual(['alone']);
  only.release();
  const last = await later;
  expect(permits.tryAcquire()).toBeDefined();
  expect(permits.tryAcquire()).toBeUndefined();
  expect(freed).toBeGreaterThan(0);
  last.release();
  await last.reacquire();
  expect(permits.tryAcquire()).toBeUndefined();
});
