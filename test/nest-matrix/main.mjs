/**
 * Runs the failure table against a Nest application and prints a line of JSON for each row: the result, and
 * whether it is what the table says. Runs with Nest 11 and 12.
 *
 *   DATABASE_URL=postgresql://… node main.mjs [microservice | express | fastify]
 *
 * The database is migrated, and gets a table `effect`. Exits with 1 when a row does not hold.
 */
import 'reflect-metadata';
import { isDeepStrictEqual } from 'node:util';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import {
  DeadLetters,
  Waybill,
  WaybillClient,
  WaybillModule,
  WaybillRecord,
  WaybillServer,
} from '@waybill/nestjs';
import { migrate } from '@waybill/schema';
import pg from 'pg';
import { firstValueFrom, toArray } from 'rxjs';
import { globalPipe, injectInto } from './faults.mjs';
import { rows } from './rows.mjs';

const LIMIT_MS = 60_000;
/** How long the caller of a request without a reply waits: handlers have long started by then. */
const SILENT_ASKER_MS = 4_000;
const connectionString = process.env.DATABASE_URL ?? '';
const platform = process.argv[2] ?? 'microservice';

/** What the handlers were seen to do, by topic. */
const calls = new Map();
const lines = [];
const unhandled = [];
// Only Node reports a promise that an application does not await; without this listener the process would end.
process.on('unhandledRejection', (error) => unhandled.push(String(error)));

const note = (_level) => (message) => lines.push(message);
const logger = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };

/** Every row as event and as request, with topics of this run. */
const runs = rows.flatMap((row, index) =>
  ['event', 'request'].flatMap((kind) =>
    row[kind] === undefined ? [] : [{ row, kind, topic: `matrix.${index}.${kind}`, expected: row[kind] }],
  ),
);

/** A controller with one handler, decorated in code. */
function controllerOf({ row, kind, topic }, handle, use = [], inject) {
  const Handling = class {
    constructor(provider) {
      this.provider = provider;
    }

    async take(payload, context) {
      const call = (calls.get(topic) ?? 0) + 1;
      calls.set(topic, call);
      await context.transaction.query('insert into effect (topic) values ($1)', [topic]);
      const result = handle?.(context, call, this.provider) ?? null;
      return result;
    }
  };
  Object.defineProperty(Handling, 'name', { value: `Controller of ${row.name}` });
  const descriptor = Object.getOwnPropertyDescriptor(Handling.prototype, 'take');
  const pattern = kind === 'event' ? EventPattern : MessagePattern;
  for (const decorate of [...use, pattern(topic, row.options ?? {})])
    decorate(Handling.prototype, 'take', descriptor);
  Payload()(Handling.prototype, 'take', 0);
  Ctx()(Handling.prototype, 'take', 1);
  if (inject !== undefined) injectInto(Handling, inject);
  Controller()(Handling);
  return Handling;
}

function moduleOf() {
  class Ping {
    ping() {
      return 'pong';
    }
  }
  Get('ping')(Ping.prototype, 'ping', Object.getOwnPropertyDescriptor(Ping.prototype, 'ping'));
  Controller()(Ping);
  class Application {}
  const controllers = runs.flatMap((run) => [
    controllerOf(run, run.row.handle, run.row.use, run.row.inject),
    ...(run.row.beside === undefined ? [] : [controllerOf(run, run.row.beside)]),
  ]);
  Module({
    imports: [
      WaybillModule.forRoot({
        database: { connectionString },
        group: 'matrix',
        topics: Object.fromEntries(runs.map(({ topic }) => [topic, { partitions: 1 }])),
        handlers: { retry: { maxAttempts: 3, delayMs: 1 } },
        client: { timeoutMs: LIMIT_MS },
        logger,
      }),
    ],
    controllers: [Ping, ...controllers],
    providers: rows.flatMap(({ inject }) => (inject === undefined ? [] : [inject])),
  })(Application);
  return Application;
}

async function createApplication() {
  const quiet = { logger: false, abortOnError: false };
  if (platform === 'microservice') {
    const strategy = { inject: [WaybillServer], useFactory: (server) => ({ strategy: server }) };
    const app = await NestFactory.createMicroservice(moduleOf(), { ...quiet, ...strategy });
    app.useGlobalPipes(globalPipe);
    await app.listen();
    return app;
  }
  const Adapter =
    platform === 'fastify'
      ? (await import('@nestjs/platform-fastify')).FastifyAdapter
      : (await import('@nestjs/platform-express')).ExpressAdapter;
  const app = await NestFactory.create(moduleOf(), new Adapter(), quiet);
  app.useGlobalPipes(globalPipe);
  app.connectMicroservice({ strategy: app.get(WaybillServer) }, { inheritAppConfig: true });
  await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');
  return app;
}

async function until(what, look) {
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`${what}: nothing came of it within ${LIMIT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Sends a request, and returns what its caller got. */
async function ask(client, { topic, row, expected }) {
  const timeoutMs = expected.answer?.code === 'REQUEST_TIMED_OUT' ? SILENT_ASKER_MS : LIMIT_MS;
  try {
    const record = new WaybillRecord(row.payload ?? { n: 1 }, { key: 'k', timeoutMs });
    const values = await firstValueFrom(client.send(topic, record).pipe(toArray()));
    return values.length === 1 ? { value: values[0] } : { values };
  } catch (error) {
    const { status, remote, code } = error;
    if (remote === undefined) return { code, message: error.message };
    return {
      ...remote,
      ...(remote.status === undefined ? {} : { httpStatus: remote.status }),
      status,
    };
  }
}

async function outcomeOf(app, pool, run, answer) {
  const { topic, expected } = run;
  return until(`${run.row.name} (${run.kind})`, async () => {
    const letter = (await app.get(DeadLetters).list({ topic })).find((found) => found.topic === topic);
    if (letter !== undefined) {
      const { reason, attempts, errorClass, errorMessage } = letter;
      return { outcome: 'dead letter', reason, attempts, errorClass, errorMessage };
    }
    if (lines.some((line) => line.includes(`${topic}[`) && line.includes('was dropped')))
      return { outcome: 'dropped' };
    if (run.kind === 'request')
      return 'value' in answer || 'values' in answer || answer.status === 'rejected'
        ? { outcome: 'answered' }
        : undefined;
    const { rows: counted } = await pool.query('select count(*)::int as n from effect where topic = $1', [
      topic,
    ]);
    return counted[0].n >= (expected.effects || 1) ? { outcome: 'done' } : undefined;
  });
}

/** Whether everything that the table says about a row holds; what it does not mention may be anything. */
function holds(expected, found) {
  return Object.entries(expected).every(([name, value]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && name !== 'details'
      ? holds(value, found?.[name] ?? {})
      : isDeepStrictEqual(found?.[name], value),
  );
}

async function main() {
  await migrate({ connectionString });
  const pool = new pg.Pool({ connectionString });
  await pool.query('create table effect (topic text)');
  const app = await createApplication();
  const waybill = app.get(Waybill);
  const client = app.get(WaybillClient);
  await until('partitions', async () =>
    waybill.consumerStatus?.partitions === runs.length ? true : undefined,
  );
  const found = await Promise.all(
    runs.map(async (run) => {
      let answer;
      if (run.kind === 'request') answer = await ask(client, run);
      else
        await waybill.transaction(async (tx, outbox) => {
          outbox.publish({ topic: run.topic, key: 'k', payload: run.row.payload ?? { n: 1 } });
        });
      const outcome = await outcomeOf(app, pool, run, answer).catch(() => ({ outcome: 'nothing' }));
      return { ...outcome, ...(answer === undefined ? {} : { answer }) };
    }),
  );
  let isWell = true;
  const tell = (line) => {
    isWell &&= line.holds;
    process.stdout.write(`${JSON.stringify(line)}\n`);
  };
  for (const [index, run] of runs.entries()) {
    const { rows: counted } = await pool.query('select count(*)::int as n from effect where topic = $1', [
      run.topic,
    ]);
    const whole = { ...found[index], effects: counted[0].n, calls: calls.get(run.topic) ?? 0 };
    tell({ row: run.row.name, kind: run.kind, holds: holds(run.expected, whole), ...whole });
  }
  for (const { name, unhandled: error } of rows) {
    if (error === undefined) continue;
    await until(name, async () => (unhandled.includes(error) ? true : undefined));
    tell({ row: `${name}: Node reports it`, kind: 'process', holds: true, error });
  }
  if (platform !== 'microservice') {
    const response = await fetch(`${await app.getUrl()}/ping`);
    tell({
      row: `HTTP on ${platform}`,
      kind: 'process',
      holds: (await response.text()) === 'pong',
      status: response.status,
    });
  }
  await app.close();
  await pool.end();
  process.exitCode = isWell ? 0 : 1;
}

await main();
