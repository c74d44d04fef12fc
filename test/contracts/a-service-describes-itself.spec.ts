import 'reflect-metadata';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import specs from '@asyncapi/specs';
import { type CanActivate, Controller, type ExecutionContext, type INestApplication } from '@nestjs/common';
import { EventPattern, MessagePattern, Transport } from '@nestjs/microservices';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  type AsyncApiDocument,
  bytesCodec,
  SagaCommand,
  sagaCommand,
  WaybillAsyncApi,
  WaybillAsyncApiModule,
  type WaybillAsyncApiModuleOptions,
  WaybillModule,
} from '@waybill/nestjs';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { type } from 'arktype';
import * as v from 'valibot';
import { z } from 'zod';
import { Fixture } from '../support/fixture.js';

const ROOT = new URL('../../', import.meta.url);

const Category = z.object({
  name: z.string(),
  get children() {
    return z.array(Category);
  },
});

@Controller()
class Orders {
  @EventPattern<string>('orders.placed')
  place(): void {}
  @EventPattern<string>('orders.placed')
  count(): void {}
  @EventPattern<string>('returns.*.#')
  any(): void {}
  @MessagePattern<string>('sum')
  sum(): number {
    return 1;
  }
  @SagaCommand(sagaCommand('stock.reserve'))
  reserve(): void {}
  @EventPattern<string>('elsewhere', Transport.KAFKA)
  elsewhere(): void {}
}

/** Guards a route of the application. */
class Key implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    return request.headers['x-key'] === 'k';
  }
}

let app: INestApplication | undefined;
let fixture: Fixture | undefined;
/** A server that accepts every connection and never responds. */
let calls: number;
const silent = createServer((socket) => {
  calls += 1;
  socket.destroy();
});
let address: string;
beforeEach(async () => {
  calls = 0;
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
});
afterEach(async () => {
  await app?.close();
  await fixture?.close();
  app = fixture = undefined;
  await new Promise((resolve) => silent.close(resolve));
});

/** How often the server has been called: calls are accepted in order, and the last one is our own. */
async function callsBefore(): Promise<number> {
  const own = connect((silent.address() as AddressInfo).port, '127.0.0.1');
  await once(own, 'close');
  return calls - 1;
}

const compile = (
  options: WaybillAsyncApiModuleOptions,
  connectionString = `postgresql://shop@${address}/shop`,
) =>
  Test.createTestingModule({
    imports: [
      WaybillModule.forRoot({
        database: { connectionString },
        group: 'shop',
        topics: { 'orders.placed': {}, 'orders.paid': {} },
        codecs: { raw: bytesCodec },
        schemas: {
          'orders.placed': {
            schema: z.object({ n: z.int(), currency: z.string().default('EUR') }),
            version: 2,
            unversioned: 2,
          },
          'orders.paid': type({ pence: 'number > 0' }),
          categories: Category,
          dates: z.object({ at: z.date() }),
          raw: v.instance(Uint8Array),
        },
      }),
      WaybillAsyncApiModule.forRoot(options),
    ],
    controllers: [Orders],
  }).compile();

/** Faults of a document by the published schema of AsyncAPI 3.0, and unresolved references. */
function faultsOf(document: AsyncApiDocument): unknown[] {
  const ajv = new Ajv({ strict: false, allErrors: true });
  (addFormats as unknown as (to: Ajv) => void)(ajv);
  const validate = ajv.compile(specs.schemasWithoutId['3.0.0'] as object);
  const plain = JSON.parse(JSON.stringify(document)) as unknown;
  const faults: unknown[] = validate(plain) ? [] : [...(validate.errors ?? [])];
  for (const [, pointer = ''] of JSON.stringify(plain).matchAll(/"\$ref":"#([^"]*)"/g)) {
    const found = pointer
      .split('/')
      .slice(1)
      .reduce<unknown>((part, name) => (part as Record<string, unknown> | undefined)?.[name], plain);
    if (found === undefined) faults.push(pointer);
  }
  return faults;
}

describe('the document of a service', () => {
  test('is AsyncAPI 3.0, with its handlers, what it publishes, and their schemas', async () => {
    const module = await compile({ title: 'The shop', version: '2.1.0', description: 'Sells.' });
    const document = module.get(WaybillAsyncApi).document();
    expect(faultsOf(document)).toEqual([]);
    expect(document.info).toEqual({ title: 'The shop', version: '2.1.0', description: 'Sells.' });
    expect(
      Object.entries(document.operations).map(([id, { action, summary }]) => [id, action, summary]),
    ).toEqual([
      ['receive.orders.placed', 'receive', 'Orders.place, Orders.count'],
      ['receive.returns.-any-.-all-', 'receive', 'Orders.any'],
      ['receive.stock.reserve', 'receive', 'Orders.reserve'],
      ['receive.sum', 'receive', 'Orders.sum'],
      ['send.categories', 'send', undefined],
      ['send.dates', 'send', undefined],
      ['send.orders.paid', 'send', undefined],
      ['send.raw', 'send', undefined],
    ]);
    expect(document.operations['receive.sum']?.reply).toBeDefined();
    expect(document.channels['returns.-any-.-all-']).toMatchObject({
      address: 'returns.{word2}.{word3}',
      parameters: { word2: {}, word3: {} },
    });
    const { messages } = document.components;
    expect(messages['orders.placed']).toMatchObject({
      name: 'orders.placed',
      'x-schema-version': 2,
      payload: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] },
    });
    expect(messages['orders.paid']?.payload).toMatchObject({ properties: { pence: { type: 'number' } } });
    expect(messages['categories']?.payload).toMatchObject({
      properties: { children: { items: { $ref: '#/components/messages/categories/payload' } } },
    });
    expect(messages['dates']?.payload).toEqual({});
    expect(messages['raw']).toMatchObject({ contentType: 'application/octet-stream', payload: {} });
    expect(await callsBefore()).toBe(0);
  });

  test('names what the service publishes, if it declares that', async () => {
    const module = await compile({ publishes: ['orders.placed'] });
    const document = module.get(WaybillAsyncApi).document({ title: 'Another' });
    expect(Object.keys(document.operations).filter((id) => id.startsWith('send'))).toEqual([
      'send.orders.placed',
    ]);
    expect(document.info).toEqual({ title: 'Another', version: '1.0.0' });
    expect(faultsOf(document)).toEqual([]);
  });

  test.each([
    ['Express', () => new ExpressAdapter()],
    ['Fastify', () => new FastifyAdapter()],
  ])('is served by %s, behind guards', async (_, adapter) => {
    fixture = await Fixture.create();
    const module = await compile({ path: 'api/shop.json', guards: [Key] }, fixture.url);
    module.useLogger(false);
    app = module.createNestApplication<INestApplication>(adapter() as AbstractHttpAdapter);
    await app.listen(0, '127.0.0.1');
    const url = `${await app.getUrl()}/api/shop.json`;
    expect((await fetch(url)).status).toBe(403);
    const answer = await fetch(url, { headers: { 'x-key': 'k' } });
    expect(answer.headers.get('content-type')).toContain('application/json');
    expect(await answer.json()).toEqual(JSON.parse(JSON.stringify(app.get(WaybillAsyncApi).document())));
  });
});

describe('waybill asyncapi', () => {
  const run = (...args: string[]) =>
    promisify(execFile)(
      process.execPath,
      [fileURLToPath(new URL('libs/cli/dist/main.js', ROOT)), 'asyncapi', '--module', ...args],
      { cwd: fileURLToPath(ROOT), env: { ...process.env, ADDRESS: address }, timeout: 60_000 },
    );

  test('describes a module without starting it or opening a connection', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'async-api-'));
    try {
      const file = join(folder, 'shop.json');
      const [{ stdout }, written] = await Promise.all([
        run('test/programs/described-app.mjs'),
        run('test/programs/described-app.mjs#AppModule', '--out', file),
      ]);
      expect(written.stdout).toBe('');
      expect(readFileSync(file, 'utf8')).toBe(stdout);
      const document = JSON.parse(stdout) as AsyncApiDocument;
      expect(faultsOf(document)).toEqual([]);
      expect(document.info).toEqual({ title: 'The shop', version: '2.1.0' });
      expect(Object.keys(document.operations)).toEqual(['receive.orders.placed', 'send.orders.paid']);
      expect(await callsBefore()).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('reports what is missing', async () => {
    await expect(run('test/programs/described-app.mjs#Shop')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('it exports no module Shop'),
    });
  });
});
