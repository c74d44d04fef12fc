import { readdirSync, readFileSync } from 'node:fs';
import { cp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { choosePort, spawnScript, type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import { FIRST_SERVICE, prepareFirstService } from './first-service.js';
import { dependenciesOn, install, packAll, ROOT, run, temporaryFolder, writeFiles } from './packing.js';

interface Manifest {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}

/** The releases that the workspace has, so that npm's cache has them too. */
const VERSIONS = {
  '@nestjs/common': '12.5.1',
  '@nestjs/core': '12.5.1',
  '@nestjs/microservices': '12.1.1',
  '@nestjs/platform-express': '12.5.1',
  'reflect-metadata': '0.2.2',
  rxjs: '7.8.2',
  pg: '8.23.1',
};
/** Of the packages that `nest new` asks for, those that compile it. */
const TOOLS = { typescript: '6.0.3', '@types/node': '^20.19.0' };

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let application: string;
let database: TestDatabase;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  folder = await temporaryFolder();
  application = join(folder.path, 'shop');
  database = await testDatabase('nest_new');
  env = { ...process.env, DATABASE_URL: database.connectionString, PORT: String(await choosePort(0)) };
  const packed = await packAll(join(folder.path, 'packs'));
  const nest = join(ROOT, 'node_modules/@nestjs/cli/bin/nest.js');
  await run(folder.path, 'node', [
    nest,
    'new',
    'shop',
    '--skip-install',
    '--skip-git',
    '--strict',
    '--package-manager=npm',
  ]);
  const manifest = read<Manifest>('package.json');
  const settings = read<{ compilerOptions: object }>('tsconfig.json');
  await writeFiles(application, {
    'package.json': {
      ...manifest,
      dependencies: { ...VERSIONS, ...dependenciesOn(packed) },
      devDependencies: TOOLS,
    },
    // The test runner that its tests are written for is not installed.
    'tsconfig.json': { ...settings, compilerOptions: { ...settings.compilerOptions, types: ['node'] } },
  });
  await install(application);
});

afterAll(async () => {
  await database.drop();
  await folder.remove();
});

function read<T>(path: string): T {
  return JSON.parse(readFileSync(join(application, path), 'utf8')) as T;
}

const waybill = (...args: string[]): Promise<{ stdout: string }> =>
  run(application, 'npx', ['--no-install', 'waybill', ...args], env);
const compile = (): Promise<unknown> =>
  run(application, 'npx', ['--no-install', 'tsc', '-p', 'tsconfig.build.json']);

test('neither Redis nor an ORM is installed', () => {
  const installed = readdirSync(join(application, 'node_modules'));
  expect(installed).toEqual(expect.arrayContaining(['@waybill', 'pg']));
  expect(
    installed.filter((name) => /redis|bullmq|prisma|typeorm|drizzle|kysely|knex|mikro/.test(name)),
  ).toEqual([]);
});

test('nest add @waybill/nestjs does what waybill init does', async () => {
  const copy = join(folder.path, 'added');
  const names = readdirSync(application).filter((name) => name !== 'node_modules');
  for (const name of names) await cp(join(application, name), join(copy, name), { recursive: true });
  await symlink(join(application, 'node_modules'), join(copy, 'node_modules'), 'junction');
  const nest = join(ROOT, 'node_modules/@nestjs/cli/bin/nest.js');
  const { stdout } = await run(copy, 'node', [nest, 'add', '@waybill/nestjs', '--skip-install'], env);
  expect(stdout).toContain('changed  src/main.ts');
  expect(readdirSync(join(copy, 'src/messaging'))).toContain('messaging.module.ts');
  const again = await run(copy, 'npx', ['--no-install', 'waybill', 'init'], env);
  expect(again.stdout).toContain('nothing to do');
});

test('after nest new: waybill init, waybill migrate, start, and the first message arrives', async () => {
  expect((await waybill('init', '--dry-run')).stdout).toContain(
    'would create  src/messaging/messaging.module.ts',
  );
  expect((await waybill('init')).stdout).toContain('changed  src/main.ts');
  expect((await waybill('init')).stdout).toContain('nothing to do');
  expect(read<{ scripts: object }>('package.json').scripts).toMatchObject({
    'waybill:migrate': 'waybill migrate && waybill migrate --bus',
  });
  await run(application, 'npm', ['run', 'waybill:migrate'], env);
  await compile();
  const service = spawnScript(join(application, 'dist/main.js'), { cwd: application, env });
  try {
    // Nest logs its start before it listens.
    await service.waitForLine(/application successfully started/);
    const url = `http://127.0.0.1:${env['PORT']}`;
    await waitUntil(() => fetch(url).then(() => true), { describe: 'it listens' });
    expect((await fetch(`${url}/greetings`, { method: 'POST' })).status).toBe(201);
    await service.waitForLine(/GreetingsController.*hello, world/);
  } finally {
    service.kill('SIGKILL');
    await service.exited;
  }
});

test("the first hour's edit: rows are written in both transactions, and on SIGTERM it leaves the group", async () => {
  const hour = readFileSync(join(ROOT, 'docs/FIRST-HOUR.md'), 'utf8');
  const [, path = '', controller = ''] = /<!-- (\S+) -->\n\n```ts\n([\s\S]*?)```/.exec(hour) ?? [];
  const [, table = ''] = /```sql\n(create table greeting [\s\S]*?)```/.exec(hour) ?? [];
  await writeFiles(application, { [path]: controller });
  await compile();
  const client = new pg.Client(database.connectionString);
  await client.connect();
  await client.query(table);
  const service = spawnScript(join(application, 'dist/main.js'), { cwd: application, env });
  try {
    await service.waitForLine(/application successfully started/);
    const url = `http://127.0.0.1:${env['PORT']}`;
    await waitUntil(() => fetch(url).then(() => true), { describe: 'it listens' });
    expect((await fetch(`${url}/greetings`, { method: 'POST' })).status).toBe(201);
    // The service of the test before was killed: its lease must expire, and its message may come once more.
    await waitUntil(
      async () => (await client.query('select from greeting where sent = 1 and greeted > 0')).rowCount === 1,
      { describe: 'both rows are written', timeoutMs: 60_000 },
    );
    service.kill('SIGTERM');
    await service.exited;
    expect((await client.query('select from waybill_bus.group_member')).rowCount).toBe(0);
  } finally {
    service.kill('SIGKILL');
    await service.exited;
    await client.end();
  }
});

test("the README's service compiles there and delivers its message", async () => {
  await writeFiles(
    application,
    Object.fromEntries(
      Object.entries(FIRST_SERVICE).map(([name, text]) => [`src/first-service/${name}`, text]),
    ),
  );
  await compile();
  await prepareFirstService(database.connectionString);
  const { stdout, stderr } = await run(application, 'node', ['dist/first-service/run.js'], {
    ...env,
    PORT: '0',
  });
  expect({ isDelivered: stdout.includes('delivered'), stderr }).toEqual({ isDelivered: true, stderr: '' });
});

/** Starts an application with Redis as its clock, and prints the result. */
const WITH_REDIS = `import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { WaybillModule } from '@waybill/nestjs';

class Application {}
const database = { connectionString: process.env.DATABASE_URL };
Module({ imports: [WaybillModule.forRoot({ database, redis: 'redis://127.0.0.1:1' })] })(Application);
try {
  await NestFactory.create(Application, { logger: false, abortOnError: false });
  console.log('started');
} catch (error) {
  console.log(error.code, error.message);
}
process.exit();
`;

test('the option redis without its packages is refused at boot, with what to install', async () => {
  await writeFiles(application, { 'redis.mjs': WITH_REDIS });
  const { stdout } = await run(application, 'node', ['redis.mjs'], env);
  expect(stdout).toMatch(/CONFIGURATION_INVALID.*npm install bullmq ioredis/s);
});
