import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { httpCommand, saga, type SagaDefinition } from '@waybill/saga';
import { type ScriptProcess, waitUntil } from '@waybill/testing';
import { answer, HttpEndpoint } from '../support/http-endpoint.js';
import { startProgram } from '../support/programs.js';
import { SagaFloor } from '../support/saga/sagas.js';

interface Order {
  readonly orderId: string;
}

/** How long a try of the charge may take. Its lease is five seconds longer. */
const TRY_MS = 4_000;

let gateway: HttpEndpoint;
let floor: SagaFloor;
let program: ScriptProcess;

beforeEach(async () => {
  gateway = await HttpEndpoint.open();
});
afterEach(async () => {
  program.kill('SIGKILL');
  await program.exited;
  await gateway.close();
  await floor.close();
});

/** Starts a saga whose call another process makes. */
const begin = async (timeoutMs: number, waits: boolean): Promise<string> => {
  const definition: SagaDefinition<Order, Order> = saga<Order>('order')
    .step('charge', {
      invoke: httpCommand<Order>({ url: gateway.url('/charge'), timeoutMs: TRY_MS }),
      with: (order) => order,
      undo: { invoke: httpCommand<Order>(gateway.url('/refund')), with: (order) => order },
      policy: { timeoutMs, maxAttempts: 1 },
    })
    .build();
  floor = await SagaFloor.open([definition as never], { http: { privateHosts: ['127.0.0.1'] } });
  const url = floor.fixture.url;
  program = await startProgram('saga/saga-caller', {
    url,
    gateway: gateway.url(''),
    timeoutMs: TRY_MS,
    waits,
  });
  const { id } = await floor.start(definition, 'A-1', { orderId: 'A-1' });
  await program.waitForLine(/^claimed/, { timeoutMs: 20_000 });
  return id;
};

test('a process that was paused between its claim and its call does not call after the compensation', async () => {
  const id = await begin(500, true);
  program.kill('SIGSTOP');
  await floor.carry();
  await floor.until(id, 'COMPENSATED');
  program.kill('SIGCONT');
  program.kill('SIGUSR2');
  const hasGivenUp = (): boolean => program.lines.some((line) => line.startsWith('try 1 of charge'));
  await waitUntil(() => hasGivenUp() || gateway.calls.length > 1, { describe: 'it has continued' });
  expect(gateway.paths).toEqual(['/refund']);
});

test('a process that is killed while it calls leaves its call to another, which calls with the same key', async () => {
  gateway.behaviours['/charge'] = () => {};
  const id = await begin(60_000, false);
  await waitUntil(() => gateway.calls.length === 1, { describe: 'the call has arrived' });
  program.kill('SIGKILL');
  await program.exited;
  gateway.behaviours['/charge'] = answer(200);
  await floor.carry();
  await floor.until(id, 'COMPLETED');
  const keys = gateway.calls.map(({ headers }) => headers['idempotency-key']);
  expect(keys).toEqual([`${id}/charge/action`, `${id}/charge/action`]);
});

test('when a process is killed while it calls, and its saga gives up, the compensation waits for the call', async () => {
  gateway.behaviours['/charge'] = () => {};
  const id = await begin(500, false);
  await waitUntil(() => gateway.calls.length === 1, { describe: 'the call has arrived' });
  program.kill('SIGKILL');
  const killedAt = performance.now();
  await floor.carry();
  await floor.until(id, 'COMPENSATED');
  expect(performance.now() - killedAt).toBeGreaterThan(4_000);
  expect(gateway.paths).toEqual(['/charge', '/refund']);
});
