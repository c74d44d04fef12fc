import { type INestMicroservice, Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  type ClientOptions,
  ClientProxyFactory,
  type ClientProxy,
  type MicroserviceOptions,
  Transport,
} from '@nestjs/microservices';
import { migrate } from '@waybill/schema';
import { Waybill, WaybillClient, WaybillServer } from '@waybill/nestjs';
import { createDatabase, type RedisServer } from '@waybill/testing';
import { Queue, Worker } from 'bullmq';
import { lastValueFrom } from 'rxjs';
import { Endpoints, PlainModule, waybillModule } from './endpoints.js';
import type { Ask } from './measures.js';

/** A transport that serves {@link Endpoints}, with its client for requests and events. */
export interface Peer {
  readonly name: string;
  readonly ask?: Ask;
  readonly publish?: (n: number) => Promise<unknown>;
  readonly heard: () => number;
  close(): Promise<void>;
}

const heard = (): number => Endpoints.heard;

const asks =
  (client: ClientProxy): Ask =>
  async (n) => {
    const sum = await lastValueFrom(client.send<number>('bench.sum', [n, 1]));
    if (sum !== n + 1) throw new Error(`${n} and 1 are not ${sum}`);
  };

/** One of Nest's own transports. */
async function nestPeer(name: string, options: MicroserviceOptions & ClientOptions): Promise<Peer> {
  const app: INestMicroservice = await NestFactory.createMicroservice<MicroserviceOptions>(PlainModule, {
    ...options,
    logger: false,
  });
  await app.listen();
  const client = ClientProxyFactory.create(options) as ClientProxy;
  await client.connect();
  return {
    name,
    heard,
    ask: asks(client),
    publish: (n) => lastValueFrom(client.emit('bench.event', { n }), { defaultValue: undefined }),
    async close() {
      await client.close();
      await app.close();
    },
  };
}

/** Nest's transport over TCP. */
export function tcpPeer(): Promise<Peer> {
  return nestPeer("Nest's TCP", { transport: Transport.TCP, options: { host: '127.0.0.1', port: 48_731 } });
}

/** Nest's transport over Redis' publish and subscribe: a message without a listener at the moment is lost. */
export function redisPeer(redis: RedisServer): Promise<Peer> {
  const { hostname: host, port } = new URL(redis.url);
  return nestPeer("Nest's Redis", { transport: Transport.REDIS, options: { host, port: Number(port) } });
}

/** Waybill: every request, reply and event is a row that survives a crash. */
export async function waybillPeer(server: { readonly connectionString: string }): Promise<Peer> {
  Logger.overrideLogger(false);
  const database = await createDatabase(server, 'bench');
  await migrate({ connectionString: database.connectionString });
  const module = waybillModule(database.connectionString);
  const app = await NestFactory.create(module, { logger: false });
  app.connectMicroservice({ strategy: app.get(WaybillServer) });
  await app.startAllMicroservices();
  await app.init();
  const [waybill, client] = [app.get(Waybill), app.get(WaybillClient)];
  return {
    name: 'Waybill',
    heard,
    ask: asks(client),
    publish: (n) =>
      waybill.transaction(async (_tx, outbox) =>
        outbox.publish({ topic: 'bench.event', key: `key-${n % 64}`, payload: { n } }),
      ),
    async close() {
      await app.close();
      await database.drop();
    },
  };
}

/** BullMQ's queue and worker. */
export async function bullmqPeer(redis: RedisServer): Promise<Peer> {
  const connection = { url: redis.url, maxRetriesPerRequest: null };
  const queue = new Queue('bench-event', { connection });
  let done = 0;
  const worker = new Worker(
    'bench-event',
    async () => {
      done += 1;
    },
    { connection, concurrency: 16, removeOnComplete: { count: 0 } },
  );
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
  return {
    name: 'BullMQ',
    heard: () => done,
    publish: (n) => queue.add('event', { n }),
    async close() {
      await worker.close();
      await queue.close();
    },
  };
}
