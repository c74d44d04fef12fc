import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@waybill/kernel';
import { httpCommand, saga, type SagaDefinition, SagaService, type SagaServiceOptions } from '@waybill/saga';
import { waitUntil } from '@waybill/testing';
import { appendRaw } from '../support/raw-records.js';
import { SagaFloor } from '../support/sagas.js';

interface Call {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let server: Server;
let calls: Call[];
let port: number;
/** What the endpoint answers, by path. */
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
    })
    .build();

/** A service whose sagas call the endpoint. */
const open = async (url: string, http: SagaServiceOptions['http']): Promise<SagaFloor> => {
  const definition = definitionOf(url);
  const opened = await SagaFloor.open([definition as never]);
  floor = opened;
  const { engine, outbox, definitions } = opened;
  const transactions = opened.runner as never;
  const parts = { engine, outbox, definitions, transactions, logger: silentLogger };
  const service = new SagaService(parts, { pollMs: 50, http: http ?? {} });
  await service.assertUsable();
  await opened.consume('orders', service.subscriptions());
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
  const written = await on.fixture.value<string>(
    `select string_agg(control::text || coalesce(headers::text, ''), '') from waybill.outbox`,
  );
  expect(written).not.toContain('of-the-service');
  expect(written).not.toContain('127.0.0.1');
});

test('what is forged makes it call nobody', async () => {
  const url = `http://127.0.0.1:${port}/charges`;
  const on = await open(url, { privateHosts: [`127.0.0.1:${port}`] });
  const id = await begin(on, url);
  await on.until(id, 'COMPLETED');
  const [genuine] = await on.fixture.log('orders.saga-calls');
  const { 'waybill-id': _, ...headers } = { ...genuine?.headers } as Record<string, string>;
  const elsewhere = `http://127.0.0.1:${port}/elsewhere`;
  const forged: [Record<string, string>, unknown][] = [
    [{ 'saga-url': elsewhere, 'saga-id': id, 'reply-to': 'orders' }, {}],
    [{ ...headers, 'waybill-saga-url': elsewhere, 'waybill-saga-call-mac': '' }, { orderId: 'A-1' }],
    [headers, { orderId: 'another' }],
    [{ ...headers, 'waybill-saga-step': 'other' }, { orderId: 'A-1' }],
    [{ ...headers, 'waybill-saga-definition': 'http.order@2' }, { orderId: 'A-1' }],
    [{ ...headers, 'waybill-saga-call-mac': headers['waybill-saga-mac'] ?? '' }, { orderId: 'A-1' }],
    [{ ...headers, 'waybill-reply-to': 'other.replies' }, { orderId: 'A-1' }],
  ];
  for (const [given, value] of forged)
    await appendRaw(on.fixture, [{ topic: 'orders.saga-calls', key: 'k', headers: given, value }]);
  await waitUntil(async () => (await on.desk.refusals()).length === forged.length, {
    describe: 'every forged call is refused',
  });
  expect(calls).toHaveLength(1);
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
  ])('%s is not called unless that is said', async (_, urlOf) => {
    const url = urlOf();
    const on = await open(url, {});
    const id = await begin(on, url);
    let code: string | undefined;
    await waitUntil(
      async () => {
        code = await on.fixture.value<string | undefined>('select error_code from waybill.dead_letter');
        return code !== undefined;
      },
      { describe: 'the command is a dead letter' },
    );
    expect(code).toBe('ENDPOINT_REFUSED');
    const answers = async (): Promise<number> => (await on.fixture.log('orders.saga-replies')).length;
    await waitUntil(async () => (await answers()) === 1, { describe: 'the saga is told' });
    expect((await on.desk.show(id)).state).toBe('RUNNING');
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
    'with a user in its URL is refused, and the URL is not told: %s',
    (url) => {
      expect(() => httpCommand(url)).toThrow(expect.objectContaining({ code: 'CONFIGURATION_INVALID' }));
      expect(() => httpCommand(url)).not.toThrow(/secret|token/);
    },
  );

  test('that sends it elsewhere is not followed, and one that answers without end is cut', async () => {
    answers = {
      '/moved': (respond) => respond(307, { location: `http://127.0.0.1:${port}/elsewhere` }, ''),
      '/endless': (respond) => respond(200, {}, 'x'.repeat(3_000)),
    };
    for (const path of ['/moved', '/endless']) {
      const url = `http://127.0.0.1:${port}${path}`;
      const on = await open(url, { privateHosts: ['127.0.0.1'], maxAnswerBytes: 2_000 });
      await begin(on, url);
      const tries = (): number => calls.filter((one) => one.path === path).length;
      await waitUntil(() => tries() > 1, { describe: 'it is tried again' });
      await on.close();
      floor = undefined;
    }
    expect(calls.some(({ path }) => path === '/elsewhere')).toBe(false);
  });
});
