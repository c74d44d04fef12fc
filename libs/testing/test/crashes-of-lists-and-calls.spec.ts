import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { httpCommand, saga, sagaCommand, type SagaDefinition } from '@waybill/saga';
import { testServerUrl } from '@waybill/testing';
import { SagaTestEnvironment } from '@waybill/testing/saga';
import pg from 'pg';
import { PlainService } from './support/plain-service.js';

interface Order {
  readonly n: string;
  readonly lines: readonly string[];
}

const pack = sagaCommand<{ line: string }>('stock.pack');
const unpack = sagaCommand<{ line: string }>('stock.unpack');

/** Requests that the endpoint has got; it never responds to the first of `hangs`. */
const requests: string[] = [];
let endpoint: Server;
let env: SagaTestEnvironment<ReturnType<typeof servicesWith>['services']>;
let definitions: ReturnType<typeof servicesWith>['definitions'];

function servicesWith(port: number) {
  const charge = httpCommand<{ n: string }, object>(`http://127.0.0.1:${port}/charges`);
  const packed = saga<Order>('packed')
    .forEach('pack', {
      items: ({ lines }) => lines,
      key: (line) => line,
      step: {
        invoke: pack,
        with: (line) => ({ line }),
        undo: { invoke: unpack, with: (line) => ({ line }) },
      },
    })
    .build();
  const billed = saga<Order>('billed')
    .step('charge', { invoke: charge, with: ({ n }) => ({ n }) })
    .build();
  const http = { privateHosts: [`127.0.0.1:${port}`], timeoutMs: 10_000 };
  const services = {
    orders: (url: string) =>
      PlainService.start(url, {
        group: 'orders',
        definitions: [packed, billed] as unknown as SagaDefinition[],
        http,
      }),
    stock: (url: string) =>
      PlainService.start(url, {
        group: 'stock',
        serves: {
          [pack.topic]: async ({ payload }, client) => {
            await client.query('insert into packed values ($1)', [(payload as { line: string }).line]);
          },
          [unpack.topic]: async () => undefined,
        },
      }),
  };
  return { services, definitions: { packed, billed } };
}

beforeAll(async () => {
  endpoint = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => (body += String(part)));
    request.on('end', () => {
      const { n } = JSON.parse(body) as { n: string };
      requests.push(n);
      if (n !== 'hangs' || requests.filter((one) => one === n).length > 1) response.end('{}');
    });
  });
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  const made = servicesWith((endpoint.address() as AddressInfo).port);
  ({ definitions } = made);
  env = await SagaTestEnvironment.start({
    server: { connectionString: testServerUrl() },
    services: made.services,
    // Shorter than the lease of a call.
    timeoutMs: 8_000,
    setUp: async (url) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.query('create table packed (line text)');
      await client.end();
    },
  });
});
afterAll(async () => {
  await env.close();
  endpoint.closeAllConnections();
  endpoint.close();
});

async function begin(
  name: keyof typeof definitions,
  n: string,
  lines: readonly string[] = [],
): Promise<void> {
  const orders = env.service('orders');
  await orders.transaction((client) =>
    orders.sagas.start(client, definitions[name], { key: n, data: { n, lines } }),
  );
}

test('a crash is confined to an item of a list, and each item happens once', async () => {
  const crash = await env.crash('stock', { at: 'pack[b]', when: 'after-commit' });
  await begin('packed', 'L', ['a', 'b', 'c']);
  await crash.happened();
  await env.until('packed', 'L', 'COMPLETED');
  const { rows } = await env.service('stock').database.pool.query('select line from packed order by line');
  expect(rows).toEqual([{ line: 'a' }, { line: 'b' }, { line: 'c' }]);
});

test('a call in flight when its service crashed is repeated, without waiting for its lease', async () => {
  await begin('billed', 'hangs');
  await env.started('billed', 'hangs');
  const crash = await env.crash('orders', { transition: 'charge', when: 'before-commit' });
  await begin('billed', 'answers');
  await crash.happened();
  await env.until('billed', 'answers', 'COMPLETED');
  await env.until('billed', 'hangs', 'COMPLETED');
  await env.quiet();
  expect(requests.filter((n) => n === 'hangs')).toHaveLength(2);
  endpoint.closeAllConnections();
});
