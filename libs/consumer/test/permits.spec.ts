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

test('one that waits for the work of another lends its permit, and gets it back as it was', async () => {
  const permits = new Permits(1, () => {});
  const waiting = permits.tryAcquire();
  let finish = (): void => {};
  const others = new Promise<void>((resolve) => (finish = resolve));
  const waited = waiting?.awaitWithout(others);
  // The other may need a permit to end.
  const lent = await permits.acquire();
  finish();
  lent.release();
  await waited;
  expect(permits.tryAcquire()).toBeUndefined();
  waiting?.release();

  const exclusive = await permits.acquireExclusive();
  await exclusive.awaitWithout(Promise.reject(new Error('it failed')));
  expect(permits.tryAcquire()).toBeUndefined();
  exclusive.release();
  expect(permits.tryAcquire()).toBeDefined();
});
