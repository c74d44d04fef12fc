import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { waitUntil } from '@waybill/testing';
import type { Fixture } from '../support/fixture.js';
import {
  disagreements,
  ends,
  orderFixture,
  plan,
  type PlannedOrder,
  Supervised,
  underWay,
} from '../support/saga/saga-orders.js';

const PLACES = ['before', 'done', 'committed'];
const COMPLETED = 4;
const COMPENSATED = 5;

/** A path of a saga: its end, and in order the transitions that no other path covers. */
interface Way {
  readonly transitions: readonly string[];
  readonly state: number;
  readonly deeds: readonly string[];
}

const GOOD = { state: COMPLETED, deeds: ['reserve', 'charge', 'ship', 'confirm'] };
const UNDONE = { state: COMPENSATED, deeds: ['reserve', 'charge', 'refund', 'release'] };

/** A command, at the participant, and its reply, at the saga. */
function call(operation: string): string[] {
  return [operation, `answer ${operation}`];
}

const WAYS: Readonly<Record<string, Way>> = {
  good: {
    ...GOOD,
    transitions: ['start', ...call('reserve/action/1'), ...call('charge/action/1'), ...call('ship/action/1')],
  },
  'no-stock': { state: COMPENSATED, deeds: [], transitions: call('reserve/action/1') },
  'no-money': {
    state: COMPENSATED,
    deeds: ['reserve', 'release'],
    transitions: [...call('charge/action/1'), ...call('reserve/compensate/1')],
  },
  'no-lorry': { ...UNDONE, transitions: [...call('ship/action/1'), ...call('charge/compensate/1')] },
  // The first charge becomes a dead letter, which the saga gets as its reply; it sends another when that is due.
  flaky: {
    ...GOOD,
    transitions: [...call('charge/action/1'), 'due charge/1', ...call('charge/action/2')],
  },
  // Payments charges and never replies: the second attempt does nothing, then the step times out and all is undone.
  silent: {
    ...UNDONE,
    transitions: [...call('charge/action/1'), 'due charge/1', 'charge/action/2', 'due charge/2'],
  },
};

const ORDERS: readonly PlannedOrder[] = Object.entries(WAYS).flatMap(([scenario, { transitions }]) => [
  { id: `${scenario} unharmed`, scenario },
  ...transitions.flatMap((transition) =>
    PLACES.map((place) => ({ id: `${scenario}: ${place} ${transition}`, scenario, transition, place })),
  ),
]);

let fixture: Fixture;
let services: Supervised[];
beforeEach(async () => {
  fixture = await orderFixture();
});
afterEach(async () => {
  await Promise.all(services.map((service) => service.stop()));
  await fixture.close();
});

test('each process is killed before, in and after each transition of each path: every saga ends as it should', async () => {
  await plan(fixture, ORDERS);
  const { url } = fixture;
  services = [
    new Supervised('saga-orders', { url }),
    ...['stock', 'payments', 'shipping'].map((group) => new Supervised('saga-participant', { url, group })),
  ];
  let left: string[] = [];
  const look = async (): Promise<boolean> => {
    left = await underWay(fixture);
    return left.length === 0;
  };
  await waitUntil(look, {
    describe: () =>
      `all sagas have ended; running: ${left.join(', ')}; ${services.map(({ output }) => output).join('\n---\n')}`,
    timeoutMs: 480_000,
    intervalMs: 100,
  });
  const found = await ends(fixture);
  const expected = ORDERS.map(({ id, scenario }) => {
    const { state, deeds } = WAYS[scenario] as Way;
    return [id, `${state}: ${deeds.join()}`] as const;
  });
  const ended = found.map(({ id, scenario, state, deeds }) => {
    // Payments may have been down until the time-out: then the refund is empty, and the charge is blocked.
    const barred = scenario === 'silent' && deeds.join() === 'reserve,release';
    return [id, `${state}: ${(barred ? UNDONE.deeds : deeds).join()}`] as const;
  });
  expect(Object.fromEntries(ended)).toEqual(Object.fromEntries(expected));
  expect(await disagreements(fixture)).toEqual([]);
  // Every point was reached.
  expect(
    await fixture.value(`select array_agg(id) from plan where transition is not null and not killed`),
  ).toBe(null);
  expect(services.every(({ crashes }) => crashes > 2)).toBe(true);
  // No command was lost to the crashes of others.
  const letters = await fixture.deadLetters.list({}, { limit: 1_000 });
  expect(new Set(letters.map(({ reason }) => reason))).toEqual(new Set(['attempts-spent']));
}, 1_080_000);
