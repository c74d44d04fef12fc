import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type CallReply,
  httpCommand,
  type HttpCommandOptions,
  saga,
  type SagaDefinition,
} from '@waybill/saga';
import { waitUntil } from '@waybill/testing';
import { answer, HttpEndpoint } from '../support/http-endpoint.js';
import { SagaFloor, type SagaFloorOptions } from '../support/saga/sagas.js';
import { tablesWith } from '../support/stored-text.js';

interface Order {
  readonly orderId: string | number | null;
  readonly card?: string;
}
type Charged = Order & { readonly answer: unknown };

let gateway: HttpEndpoint;
let floor: SagaFloor;

beforeEach(async () => {
  gateway = await HttpEndpoint.open();
});
afterEach(async () => {
  await gateway.close();
  await floor.close();
});

/** A saga of one call, and of another after its pivot if asked for. */
const charging = (
  options: Partial<HttpCommandOptions<Order>> = {},
  { behindPivot = false, timeoutMs = 60_000, maxAttempts = 2 } = {},
): SagaDefinition<Order, Charged> => {
  const begun = saga<Order>('order');
  const forward = behindPivot ? begun.local('decide', { pivot: true, run: async () => {} }) : begun;
  return forward
    .step('charge', {
      invoke: httpCommand<Order, unknown>({ url: gateway.url('/charge'), ...options }),
      with: (order) => order,
      then: (reply) => ({ answer: reply }),
      policy: { delayMs: 10, maxAttempts, timeoutMs },
      ...(behindPivot
        ? {}
        : { undo: { invoke: httpCommand<Order>(gateway.url('/refund')), with: (order: Order) => order } }),
    })
    .build() as SagaDefinition<Order, Charged>;
};

const open = async (
  definition: SagaDefinition<Order, Charged>,
  http: SagaFloorOptions['http'] = {},
): Promise<void> => {
  floor = await SagaFloor.open([definition as never], { http: { privateHosts: ['127.0.0.1'], ...http } });
  await floor.carry();
};

const begin = async (definition: SagaDefinition<Order, Charged>, data: Order = { orderId: 'A-1' }) =>
  (await floor.start(definition, 'A-1', data)).id;

const keys = (): unknown[] => gateway.calls.map(({ headers }) => headers['idempotency-key']);
const reasonOf = async (id: string): Promise<string | null> => (await floor.operations.show(id)).reason;
const ada = { by: 'ada', reason: 'the card was changed' };

test('the URL contains fields of the request, encoded', async () => {
  const definition = charging({ url: gateway.url('/orders/{orderId}/charge?card={card}') });
  await open(definition);
  const id = await begin(definition, { orderId: '../17/?#&', card: 'ä b' });
  await floor.until(id, 'COMPLETED');
  expect(gateway.paths).toEqual(['/orders/..%2F17%2F%3F%23%26/charge?card=%C3%A4%20b']);
});

test.each([
  ['dots', '..', /would change the path/],
  ['a dot', '.', /would change the path/],
  ['empty', '', /field orderId of the request is empty/],
  ['missing', null, /field orderId of the request is neither a string nor a number/],
])('a field that is %s makes no call, and its saga is stuck', async (_, orderId, reason) => {
  const definition = charging({ url: gateway.url('/orders/{orderId}/charge') });
  await open(definition);
  const id = await begin(definition, { orderId });
  await floor.until(id, 'STUCK');
  expect(await reasonOf(id)).toMatch(reason);
  expect(gateway.calls).toEqual([]);
});

describe('the method', () => {
  test.each([
    ['PUT', true],
    ['PATCH', true],
    ['DELETE', false],
    ['GET', false],
  ] as const)('%s is sent, with a body: %s', async (method, hasBody) => {
    const definition = charging({ method });
    await open(definition);
    await floor.until(await begin(definition), 'COMPLETED');
    expect(gateway.calls).toMatchObject([{ method, body: hasBody ? '{"orderId":"A-1"}' : '' }]);
    expect(gateway.calls[0]?.headers['content-type']).toBe(hasBody ? 'application/json' : undefined);
  });

  test('DELETE has a body if asked for', async () => {
    const definition = charging({ method: 'DELETE', sendBody: true });
    await open(definition);
    await floor.until(await begin(definition), 'COMPLETED');
    expect(gateway.calls[0]?.body).toBe('{"orderId":"A-1"}');
  });
});

describe('headers from the request', () => {
  test('are sent with those of the service, and are not stored', async () => {
    let tries = 0;
    gateway.behaviours['/charge'] = (response, call) => answer(++tries === 1 ? 503 : 200)(response, call);
    const definition = charging({
      headers: ({ orderId }) => ({ 'X-Order': String(orderId), authorization: 'Bearer of-the-order' }),
    });
    await open(definition, { headers: async () => ({ 'x-service': 'yes', authorization: 'Bearer other' }) });
    await floor.until(await begin(definition), 'COMPLETED');
    const expected = { 'x-order': 'A-1', 'x-service': 'yes', authorization: 'Bearer of-the-order' };
    expect(gateway.calls.map(({ headers }) => headers)).toMatchObject([expected, expected]);
    expect(await tablesWith(floor.database, 'of-the-order')).toEqual([]);
  });

  test.each([
    ['with a line break in them', { 'x-order': 'a\r\nx-other: b' }, /Invalid character in header content/],
    ['of Waybill', { 'Waybill-Saga-Id': 'x' }, /may not set "waybill-saga-id"/],
    ['of the message', { 'Content-Length': '3' }, /may not set "content-length"/],
    ['that name another host', { HOST: 'x' }, /may not set "host"/],
    ['that are not strings', { 'x-order': 3 }, /must be a string, got number/],
    ['that are not an object', 'x-order: 3', /must return an object of strings/],
  ])('%s are a failure of the step', async (_, made, reason) => {
    const definition = charging({ headers: () => made as never });
    await open(definition);
    const id = await begin(definition);
    await floor.until(id, 'COMPENSATED');
    expect(await reasonOf(id)).toMatch(reason);
    expect(gateway.calls).toEqual([]);
  });
});

test('credentials that are unavailable for a while are fetched again, within the attempt', async () => {
  let asked = 0;
  const definition = charging();
  await open(definition, {
    headers: async () => {
      asked += 1;
      if (asked === 1) throw new Error('the vault is closed');
      return { authorization: 'Bearer token' };
    },
  });
  const id = await begin(definition);
  await floor.until(id, 'COMPLETED');
  expect((await floor.operations.show(id)).instance.steps['charge']?.attempt).toBe(1);
  expect(gateway.paths).toEqual(['/charge']);
});

test('an error thrown by a function of the definition fails the step, without a loop', async () => {
  let asked = 0;
  const definition = charging({
    headers: () => {
      asked += 1;
      throw new Error('the vault is closed');
    },
  });
  await open(definition);
  const id = await begin(definition);
  await floor.until(id, 'COMPENSATED');
  expect(await reasonOf(id)).toBe('step charge was given up: Error: the vault is closed');
  expect(asked).toBe(2);
  expect(gateway.calls).toEqual([]);
});

describe('the idempotency key', () => {
  test('comes from the definition, and is the same at each try and attempt', async () => {
    const seen: unknown[] = [];
    gateway.behaviours['/charge'] = (response) => response.destroy();
    const definition = charging(
      { idempotencyKey: ({ orderId }, call) => (seen.push(call), `charge-${orderId}`) },
      { timeoutMs: 1_000, maxAttempts: 1_000 },
    );
    await open(definition);
    const id = await begin(definition);
    const attempt = async () => (await floor.operations.show(id)).instance.steps['charge']?.attempt ?? 0;
    await waitUntil(async () => (await attempt()) >= 2 && keys().length >= 3, {
      describe: 'a second attempt, and a second try of one',
    });
    gateway.behaviours['/charge'] = answer(200);
    await floor.until(id, 'COMPLETED');
    expect(new Set(keys())).toEqual(new Set(['charge-A-1']));
    expect(seen).toContainEqual({ sagaId: id, branch: 'charge', op: 'action' });
  });

  test.each<[unknown, string]>([
    ['', 'empty'],
    ['ä', 'not ASCII'],
    ['a\r\nb', 'two lines'],
    [3, 'a number'],
  ])('that is %j makes no call: %s', async (key) => {
    const definition = charging({ idempotencyKey: () => key as never });
    await open(definition);
    const id = await begin(definition);
    await floor.until(id, 'STUCK');
    expect(await reasonOf(id)).toMatch(/idempotencyKey must return a string/);
    expect(gateway.calls).toEqual([]);
  });

  test('is a new one when an operator retries a rejected call, as gateways repeat their response', async () => {
    gateway.behaviours['/charge'] = (response, { headers }) =>
      answer(headers['idempotency-key'] === `${id}/charge/action/2` ? 200 : 402, { message: 'no money' })(
        response,
        undefined as never,
      );
    const definition = charging({ rejectOn: [402, 404, 409, 422] }, { behindPivot: true });
    let id = '';
    await open(definition);
    id = await begin(definition);
    await floor.until(id, 'STUCK');
    expect(await reasonOf(id)).toMatch(/no money/);
    await floor.operations.retry(id, 'charge', ada);
    await floor.until(id, 'COMPLETED');
    expect(keys()).toEqual([`${id}/charge/action`, `${id}/charge/action/2`]);
  });

  test('stays the same when an operator retries a call that may have happened', async () => {
    gateway.behaviours['/charge'] = (response) => response.destroy();
    const definition = charging({}, { behindPivot: true, timeoutMs: 2_000 });
    await open(definition);
    const id = await begin(definition);
    await floor.until(id, 'STUCK');
    gateway.behaviours['/charge'] = answer(200);
    await floor.operations.retry(id, 'charge', ada);
    await floor.until(id, 'COMPLETED');
    expect(new Set(keys())).toEqual(new Set([`${id}/charge/action`]));
  });
});

test('only what rejectOn names is a rejection', async () => {
  let tries = 0;
  gateway.behaviours['/charge'] = (response, call) =>
    answer(++tries === 1 ? 409 : 404, { message: `no ${tries}` })(response, call);
  const definition = charging({ rejectOn: [404] });
  await open(definition);
  const id = await begin(definition);
  await floor.until(id, 'COMPENSATED');
  expect(await reasonOf(id)).toBe('step charge was rejected: no 2');
  expect(gateway.paths).toEqual(['/charge', '/charge']);
});

test('an operator sees a running call: its tries, and its last error', async () => {
  gateway.behaviours['/charge'] = answer(503);
  const definition = charging();
  await open(definition);
  const id = await begin(definition);
  const shown = async () => (await floor.operations.show(id)).calls;
  await waitUntil(async () => (await shown())[0]?.lastError?.includes('503') === true, {
    describe: 'a try has failed',
  });
  expect(await shown()).toMatchObject([
    {
      step: 'charge',
      op: 'action',
      host: gateway.host,
      state: 'open',
      lastError: 'the endpoint responded 503',
    },
  ]);
});

describe('an endpoint that responds later', () => {
  const reply = (token: unknown, given: CallReply): Promise<boolean> =>
    floor.fixture.transaction((client) => floor.sagas.replyToCall(client, token as string, given));
  const token = async (): Promise<unknown> => {
    await waitUntil(() => gateway.calls.length > 0, { describe: 'it is called' });
    return gateway.calls[0]?.headers['waybill-callback'];
  };
  const done: CallReply = { status: 'done', payload: { chargeId: 'h1' } };
  const laterOn = (policy = {}) => charging({ callback: true }, policy);

  beforeEach(() => {
    gateway.behaviours['/charge'] = answer(202, '', { 'retry-after': '0' });
  });

  test('is not called again, and its result counts once', async () => {
    await open(laterOn());
    const id = await begin(laterOn());
    const given = await token();
    await waitUntil(async () => (await floor.operations.show(id)).calls[0]?.state === 'awaited', {
      describe: 'its result is awaited',
    });
    expect(await reply(given, done)).toBe(true);
    expect(await reply(given, { status: 'rejected' })).toBe(false);
    await floor.until(id, 'COMPLETED');
    expect(await reply(given, done)).toBe(false);
    expect((await floor.operations.show(id)).instance.data).toMatchObject({ answer: { chargeId: 'h1' } });
    expect(gateway.paths).toEqual(['/charge']);
  });

  test('may report its result before its 202 has arrived', async () => {
    let finish = (): void => {};
    gateway.behaviours['/charge'] = (response, call) => (finish = () => answer(202)(response, call));
    await open(laterOn());
    const id = await begin(laterOn());
    expect(await reply(await token(), done)).toBe(true);
    await floor.until(id, 'COMPLETED');
    finish();
    expect(gateway.paths).toEqual(['/charge']);
  });

  test('may reject', async () => {
    await open(laterOn());
    const id = await begin(laterOn());
    expect(await reply(await token(), { status: 'rejected', reason: 'fraud' })).toBe(true);
    await floor.until(id, 'COMPENSATED');
    expect(await reasonOf(id)).toBe('step charge was rejected: fraud');
    expect(gateway.paths).toEqual(['/charge']);
  });

  test('is called again by the next attempt, with the same token, and may respond to that', async () => {
    const definition = laterOn({ timeoutMs: 500, maxAttempts: 1_000 });
    await open(definition);
    const id = await begin(definition);
    await waitUntil(() => gateway.calls.length >= 2, { describe: 'it is called again' });
    const [first, second] = gateway.calls.map(({ headers }) => headers['waybill-callback']);
    expect(second).toBe(first);
    expect(await reply(first, done)).toBe(true);
    await floor.until(id, 'COMPLETED');
  });

  test('and never reports is compensated; a later result is refused', async () => {
    const definition = laterOn({ timeoutMs: 2_000 });
    await open(definition);
    const id = await begin(definition);
    const given = await token();
    await floor.until(id, 'COMPENSATED');
    expect(gateway.paths).toEqual(['/charge', '/charge', '/refund']);
    await expect(reply(given, done)).rejects.toMatchObject({
      code: 'SAGA_CALLBACK_REFUSED',
      kind: 'stale',
      sagaId: id,
    });
  });

  test('is not trusted without its token', async () => {
    await open(laterOn());
    const id = await begin(laterOn());
    const given = String(await token());
    const [named = '', key, mac] = given.split('.');
    const parts = JSON.parse(Buffer.from(named, 'base64url').toString()) as unknown[];
    const renamed = (...changed: unknown[]): string =>
      `${Buffer.from(JSON.stringify(changed)).toString('base64url')}.${key}.${mac}`;
    const forged: unknown[] = [
      '',
      'x',
      undefined,
      null,
      {},
      named,
      `${named}.${key}`,
      `${named}.${key}.${'A'.repeat(43)}`,
      `${named}.999.${mac}`,
      renamed(...parts.slice(0, 3), 2),
      renamed(parts[0], 'other', ...parts.slice(2)),
      renamed('00000000-0000-7000-8000-000000000000', ...parts.slice(1)),
      renamed(`' or true`, ...parts.slice(1)),
      'x'.repeat(100_000),
    ];
    for (const one of forged)
      await expect(reply(one, done)).rejects.toMatchObject({ code: 'SAGA_CALLBACK_REFUSED', kind: 'forged' });
    expect((await floor.operations.show(id)).state).toBe('RUNNING');
    expect(await reply(given, done)).toBe(true);
  });
});
