import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { httpCommand, saga, type SagaDefinition, SagaLoop } from '@waybill/saga';
import { silentLogger } from '@waybill/kernel';
import { waitUntil } from '@waybill/testing';
import { answer, type Behaviour, HttpEndpoint } from '../support/http-endpoint.js';
import { SagaFloor, type SagaFloorOptions } from '../support/saga/sagas.js';

interface Order {
  readonly orderId: string;
}

let gateway: HttpEndpoint;
let other: HttpEndpoint;
let floor: SagaFloor;

beforeEach(async () => {
  gateway = await HttpEndpoint.open();
  other = await HttpEndpoint.open();
});
afterEach(async () => {
  await gateway.close();
  await other.close();
  await floor.close();
});

const open = async (
  definitions: readonly SagaDefinition<never, never>[],
  http: SagaFloorOptions['http'] = {},
): Promise<void> => {
  floor = await SagaFloor.open(definitions, { http: { privateHosts: ['127.0.0.1'], ...http } });
};

/** A saga that takes about two seconds: a call due in the meantime has been made when it is done. */
const slow = (): SagaDefinition<Order, Order> =>
  saga<Order>('slow.order')
    .step('wait', { invoke: httpCommand<Order>(other.url('/wait')), with: (order) => order })
    .build();

const letTimePass = async (): Promise<void> => {
  let asked = 0;
  other.behaviours['/wait'] = (response, call) =>
    (asked++ < 2 ? answer(202, '', { 'retry-after': '1' }) : answer(200))(response, call);
  const { id } = await floor.start(slow(), 'slow', { orderId: 'slow' });
  await floor.until(id, 'COMPLETED');
};

const order = ({ timeoutMs = 2_400, tryMs = 800 } = {}): SagaDefinition<Order, Order> =>
  saga<Order>('order')
    .step('charge', {
      invoke: httpCommand<Order>({ url: gateway.url('/charge'), timeoutMs: tryMs }),
      with: (data) => data,
      undo: { invoke: httpCommand<Order>(gateway.url('/refund')), with: (data) => data },
      policy: { timeoutMs, maxAttempts: 1 },
    })
    .build();

describe('a call that its saga has given up', () => {
  const late: (() => void)[] = [];
  const behaviours: Readonly<Record<string, Behaviour>> = {
    'answers 503': answer(503),
    'cuts the connection': (response) => response.destroy(),
    'never responds': () => {},
    'responds too late': (response) => void late.push(() => response.writeHead(200).end('{}')),
    'reports that it is still working': answer(202),
    'first responds 503, then hangs': (response, call) => {
      if (gateway.paths.filter((path) => path === '/charge').length === 1) answer(503)(response, call);
    },
    'sends a response that is too long': answer(200, 'x'.repeat(3_000)),
  };

  test.each(Object.keys(behaviours))('is not made after its compensation: the gateway %s', async (name) => {
    gateway.behaviours['/charge'] = behaviours[name] as Behaviour;
    await open([order() as never, slow() as never], { maxResponseBytes: 2_000 });
    await floor.carry();
    const { id } = await floor.start(order(), 'A-1', { orderId: 'A-1' });
    await waitUntil(() => gateway.paths.includes('/refund'), { describe: 'it is compensated' });
    for (const respond of late.splice(0)) respond();
    // A repeated call would take effect now.
    gateway.behaviours['/charge'] = answer(200);
    await floor.until(id, 'COMPENSATED');
    await letTimePass();
    expect(gateway.paths.at(-1)).toBe('/refund');
    expect(gateway.paths.filter((path) => path === '/refund')).toHaveLength(1);
    expect(gateway.paths).toContain('/charge');
    expect(await floor.fixture.value('select count(*)::int from waybill.saga_call')).toBe(0);
  });

  test('and whose response comes after its compensation changes nothing', async () => {
    let respond = (): void => {};
    gateway.behaviours['/charge'] = (response) => void (respond = () => response.writeHead(200).end('{}'));
    await open([order({ tryMs: 5_000 }) as never]);
    await floor.carry();
    const { id } = await floor.start(order({ tryMs: 5_000 }), 'A-1', { orderId: 'A-1' });
    await waitUntil(async () => (await floor.operations.show(id)).state === 'COMPENSATING', {
      describe: 'it is given up',
    });
    expect(gateway.paths).toEqual(['/charge']);
    respond();
    await floor.until(id, 'COMPENSATED');
    expect(gateway.paths).toEqual(['/charge', '/refund']);
  });
});

describe('a compensation', () => {
  test('waits while a try of its action may be in flight, even if its process is gone', async () => {
    // The saga gives up long before the claim ends.
    const hasty = order({ timeoutMs: 900, tryMs: 6_000 });
    await open([hasty as never]);
    const { id } = await floor.start(hasty, 'A-1', { orderId: 'A-1' });
    // As a process that crashes after its claim.
    await floor.database.pool.query(
      `select from waybill.saga_calls_claim('orders.saga-replies',
         array(select c.definition from waybill.saga_call c), $1, '{1}', 1, 0, 3000)`,
      [[gateway.host]],
    );
    const before = performance.now();
    await floor.carry();
    await floor.until(id, 'COMPENSATED');
    expect(performance.now() - before).toBeGreaterThan(4_000);
    expect(gateway.paths).toEqual(['/refund']);
  });

  test('of what was never called is empty: nothing was sent', async () => {
    const closed = await HttpEndpoint.open();
    await closed.close();
    const definition = saga<Order>('order')
      .step('charge', {
        invoke: httpCommand<Order>(closed.url('/charge')),
        with: (data) => data,
        undo: { invoke: httpCommand<Order>(gateway.url('/refund')), with: (data) => data },
        policy: { timeoutMs: 1_500, maxAttempts: 1 },
      })
      .build();
    await open([definition as never]);
    await floor.carry();
    const { id } = await floor.start(definition, 'A-1', { orderId: 'A-1' });
    await floor.until(id, 'COMPENSATED');
    expect((await floor.operations.show(id)).instance.steps).toMatchObject({ charge: { status: 'undone' } });
    expect(gateway.paths).toEqual([]);
  });

  test('is not called, nor is its action, when the saga gives up in the transition that begins it', async () => {
    const definition = saga<Order>('order')
      .parallel((group) =>
        group
          .step('charge', {
            invoke: httpCommand<Order>(gateway.url('/charge')),
            with: (data) => data,
            undo: { invoke: httpCommand<Order>(gateway.url('/refund')), with: (data) => data },
          })
          .local('check', { run: () => Promise.reject(new Error('no')), policy: { maxAttempts: 1 } }),
      )
      .build();
    await open([definition as never]);
    await floor.carry();
    const { id } = await floor.start(definition, 'A-1', { orderId: 'A-1' });
    await floor.until(id, 'COMPENSATED');
    expect(gateway.paths).toEqual([]);
  });

  test('is called for an action that an operator marks as done', async () => {
    const definition = saga<Order>('order')
      .step('charge', {
        invoke: httpCommand<Order>({ url: gateway.url('/{missing}') }),
        with: (data) => data,
        undo: { invoke: httpCommand<Order>(gateway.url('/refund')), with: (data) => data },
      })
      .step('ship', { invoke: httpCommand<Order>(gateway.url('/ship')), with: (data) => data })
      .build();
    gateway.behaviours['/ship'] = answer(409, { message: 'sold out' });
    await open([definition as never]);
    await floor.carry();
    const { id } = await floor.start(definition, 'A-1', { orderId: 'A-1' });
    await floor.until(id, 'STUCK');
    expect((await floor.operations.show(id)).reason).toMatch(/field missing of the request is neither/);
    await floor.operations.resolve(id, 'charge', {}, { by: 'ada', reason: 'by telephone' });
    await floor.until(id, 'COMPENSATED');
    expect(gateway.paths).toEqual(['/ship', '/refund']);
  });
});

test('a host that hangs, with hundreds of calls due, delays no call to another host', async () => {
  gateway.behaviours['/charge'] = () => {};
  const hanging = order({ timeoutMs: 120_000, tryMs: 60_000 });
  await open([hanging as never, slow() as never], { maxCallsPerHost: 4 });
  await floor.carry();
  for (let n = 0; n < 200; n += 1) await floor.start(hanging, `A-${n}`, { orderId: `A-${n}` });
  await waitUntil(() => gateway.calls.length === 4, { describe: 'its places are taken' });
  other.behaviours['/wait'] = answer(200);
  const begunAt = performance.now();
  const { id } = await floor.start(slow(), 'A-1', { orderId: 'A-1' });
  await floor.until(id, 'COMPLETED');
  expect(performance.now() - begunAt).toBeLessThan(50_000);
  expect(gateway.calls).toHaveLength(4);
});

test('two processes make each call only once', async () => {
  // No call may time out, or it is made again.
  const patient = order({ timeoutMs: 600_000, tryMs: 300_000 });
  await open([patient as never]);
  await floor.carry();
  const { engine, definitions } = floor;
  const transactions = floor.runner as never;
  const http = { privateHosts: ['127.0.0.1'] };
  floor.run(new SagaLoop({ engine, definitions, transactions, logger: silentLogger }, { pollMs: 50, http }));
  const started = [];
  for (let n = 0; n < 40; n += 1) started.push(await floor.start(patient, `A-${n}`, { orderId: `A-${n}` }));
  for (const { id } of started) await floor.until(id, 'COMPLETED');
  const keys = gateway.calls.map(({ headers }) => headers['idempotency-key']);
  expect(new Set(keys).size).toBe(40);
  expect(keys).toHaveLength(40);
});
