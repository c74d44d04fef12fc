import { expect, test } from '@jest/globals';
import { Slots } from '../src/delivery/permits.js';

test('gives no more places than there are, and one that is asked for alone with nobody beside it', async () => {
  let freed = 0;
  const slots = new Slots(2, () => {
    freed += 1;
  });
  const a = slots.tryTake();
  const b = slots.tryTake();
  expect([a, b].every((place) => place !== undefined)).toBe(true);
  expect(slots.tryTake()).toBeUndefined();
  const events: string[] = [];
  const alone = slots.takeAlone().then((place) => {
    events.push('alone');
    return place;
  });
  const later = slots.take().then((place) => {
    events.push('later');
    return place;
  });
  a?.give();
  expect(slots.tryTake()).toBeUndefined();
  b?.give();
  b?.give();
  const only = await alone;
  expect(slots.tryTake()).toBeUndefined();
  expect(events).toEqual(['alone']);
  only.give();
  const last = await later;
  expect(slots.tryTake()).toBeDefined();
  expect(slots.tryTake()).toBeUndefined();
  expect(freed).toBeGreaterThan(0);
  last.give();
  await last.takeAgain();
  expect(slots.tryTake()).toBeUndefined();
});
