import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@waybill/kernel';
import { httpCommand, saga, type SagaDefinition, SagaLoop, type SagaLoopOptions } from '@waybill/saga';
import { waitUntil } from '@waybill/testing';
import { SagaFloor } from '../support/saga/sagas.js';
import { tablesWith } from '../support/stored-text.js';

interface Call {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let server: Server;
let calls: Call[];
let port: number;
/** The endpoint's responses, by path. */
let answers: Readonly<
  Record<string, (respond: (status: number, headers: object, body: string) => void) => void>
>;
let floor: SagaFloor | undefined;

beforeEach(async () => {
  calls = [];
  answers = {};
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const path = request.url ?? '';
      calls.push({ path, headers: request.headers, body });
      const respond = (status: number, headers: object, text: string): void => {
        response.writeHead(status, headers as never).end(text);
      };
      (answers[path] ?? ((send) => send(200, {}, '{"chargeId":"h1"}')))(respond);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  ({ port } = server.address() as AddressInfo);
});
afterEach(async () => {
  await floor?.close();
  floor = undefined;
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
});

interface Order {
  readonly orderId: string;
}

const definitionOf = (url: string): SagaDefinition<Order, Order & { chargeId: string }> =>
  saga<Order>('http.order')
    .step('charge', {
      invoke: httpCommand<Order, { chargeId: string }>(url),
      with: ({ orderId }) => ({ orderId }),
      then: ({ chargeId }) => ({ chargeId }),
      policy: { delayMs: 10 },
    })
    .build();

/** A service whose sagas call the endpoint. */
const open = async (url: string, http: SagaLoopOptions['http']): Promise<SagaFloor> => {
  const definition = definitionOf(url);
  const opened = await SagaFloor.open([definition as never]);
  floor = opened;
  const { engine, definitions } = opened;
  const transactions = opened.runner as never;
  const parts = { engine, definitions, transactions, logger: silentLogger };
  const service = new SagaLoop(parts, { pollMs: 50, http: http ?? {} });
  await service.assertUsable();
  await opened.consume('orders', service.subscriptions());
  opened.run(service);
  return opened;
};

const begin = async (on: SagaFloor, url: string): Promise<string> =>
  (await on.start(definitionOf(url), 'A-1', { orderId: 'A-1' })).id;

test('a call carries the credentials of the service and names the saga; the endpoint is called once', async () => {
  const url = `http://127.0.0.1:${port}/charges`;
  const asked: unknown[] = [];
  const on = await open(url, {
    privateHosts: [`127.0.0.1:${port}`],
    headers: async (call) => {
      asked.push(call);
      return { authorization: 'Bearer of-the-service' };
    },
  });
  const id = await begin(on, url);
  await on.until(id, 'COMPLETED');
  expect(asked).toEqual([{ url, type: 'http.order', step: 'charge' }]);
  expect(calls).toHaveLength(1);
  expect(calls[0]?.headers).toMatchObject({
    authorization: 'Bearer of-the-service',
    'waybill-saga-id': id,
    'idempotency-key': `${id}/charge/action`,
  });
  // The history has the address that was called, and nothing has the credentials.
  expect(await tablesWith(on.database, 'of-the-service')).toEqual([]);
  expect(await tablesWith(on.database, '127.0.0.1')).toEqual([expect.stringMatching(/^saga_transition_s/)]);
});

describe('an endpoint', () => {
  test.each([
    ['of this machine', () => `http://127.0.0.1:${port}/`],
    ['of this machine, by name', () => `http://localhost:${port}/`],
    ['of this machine, in version 6', () => `http://[::1]:${port}/`],
    ['of this machine, in version 6 of version 4', () => `http://[::ffff:127.0.0.1]:${port}/`],
    ['of this machine, as a number', () => `http://2130706433:${port}/`],
    ['of this machine, as the unspecified address', () => `http://0.0.0.0:${port}/`],
    ['with the metadata of a cloud', () => 'http://169.254.169.254/latest/meta-data'],
    ['in a private network', () => 'http://10.1.2.3/'],
    ['in a unique local network', () => 'http://[fd00::1]/'],
  ])('%s is not called unless that is allowed', async (_, urlOf) => {
    const url = urlOf();
    const on = await open(url, {});
    const id = await begin(on, url);
    await on.until(id, 'COMPENSATED');
    expect((await on.operations.show(id)).reason).toMatch(/^step charge was given up: ENDPOINT_REFUSED: /);
    expect(calls).toEqual([]);
  });

  test('that is not listed is refused at start', async () => {
    const url = 'https://api.example.com/charges';
    await expect(open(url, { hosts: ['pay.example.com'] })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: expect.stringContaining('api.example.com'),
    });
  });

  test.each(['http://ada:secret@api.example.com/', 'https://token@api.example.com/'])(
    'with a user in its URL is refused without printing the URL: %s',
    (url) => {
      expect(() => httpCommand(url)).toThrow(expect.objectContaining({ code: 'CONFIGURATION_INVALID' }));
      expect(() => httpCommand(url)).not.toThrow(/secret|token/);
    },
  );

  test('that redirects is not followed, and an endless response is cut off', async () => {
    answers = {
      '/moved': (respond) => respond(307, { location: `http://127.0.0.1:${port}/elsewhere` }, ''),
      '/endless': (respond) => respond(200, {}, 'x'.repeat(3_000)),
    };
    for (const path of ['/moved', '/endless']) {
      const url = `http://127.0.0.1:${port}${path}`;
      const on = await open(url, { privateHosts: ['127.0.0.1'], maxResponseBytes: 2_000 });
      await begin(on, url);
      const tries = (): number => calls.filter((one) => one.path === path).length;
      await waitUntil(() => tries() > 1, { describe: 'it is retried' });
      await on.close();
      floor = undefined;
    }
    expect(calls.some(({ path }) => path === '/elsewhere')).toBe(false);
  });
});
