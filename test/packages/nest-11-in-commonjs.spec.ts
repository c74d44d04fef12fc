import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { spawnScript, type TestDatabase, testDatabase } from '@waybill/testing';
import { FIRST_SERVICE, prepareFirstService } from './first-service.js';
import { dependenciesOn, install, packAll, ROOT, run, temporaryFolder, writeFiles } from './packing.js';

/** The releases of the 11 line; its packages have different versions. */
const NEST_11 = {
  '@nestjs/common': '11.2.10',
  '@nestjs/core': '11.2.10',
  '@nestjs/microservices': '11.2.6',
  '@nestjs/platform-express': '11.2.10',
  '@nestjs/platform-fastify': '11.2.8',
};

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let application: string;
const databases: TestDatabase[] = [];

async function database(): Promise<string> {
  const made = await testDatabase('nest_11');
  databases.push(made);
  return made.connectionString;
}

beforeAll(async () => {
  folder = await temporaryFolder();
  application = join(folder.path, 'application');
  const packed = await packAll(join(folder.path, 'packs'));
  await writeFiles(application, {
    // Without a type: Node and TypeScript take its files for CommonJS, as those of Nest 11's applications are.
    'package.json': {
      name: 'application',
      private: true,
      dependencies: {
        ...NEST_11,
        ...dependenciesOn(packed),
        pg: '8.23.1',
        'reflect-metadata': '0.2.2',
        rxjs: '7.8.2',
      },
      devDependencies: { '@types/node': '^20.19.0', typescript: '6.0.3' },
    },
    'tsconfig.json': {
      compilerOptions: {
        module: 'nodenext',
        target: 'es2023',
        strict: true,
        skipLibCheck: true,
        experimentalDecorators: true,
        emitDecoratorMetadata: true,
        types: ['node'],
        rootDir: 'src',
        outDir: 'dist',
      },
      include: ['src'],
    },
    ...Object.fromEntries(Object.entries(FIRST_SERVICE).map(([name, text]) => [`src/${name}`, text])),
  });
  await install(application);
});

afterAll(async () => {
  await Promise.all(databases.map((made) => made.drop()));
  await folder.remove();
});

test("the README's service compiles to CommonJS and delivers its message", async () => {
  await run(application, 'npx', ['tsc']);
  const compiled = await run(application, 'node', [
    '-p',
    'require("fs").readFileSync("dist/main.js", "utf8")',
  ]);
  expect(compiled.stdout).toContain('require("@waybill/nestjs")');
  const connectionString = await database();
  await prepareFirstService(connectionString);
  const env = { ...process.env, DATABASE_URL: connectionString, PORT: '0' };
  const { stdout, stderr } = await run(application, 'node', ['dist/run.js'], env);
  expect({ stdout: stdout.includes('delivered'), stderr }).toEqual({ stdout: true, stderr: '' });
});

test('the command describes it, without a database', async () => {
  const env = { ...process.env, DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' };
  const command = ['node_modules/@waybill/cli/dist/main.js', 'asyncapi', '--module', 'dist/main.js'];
  const { stdout, stderr } = await run(application, 'node', command, env);
  expect(JSON.parse(stdout)).toMatchObject({
    asyncapi: '3.0.0',
    info: { title: 'shop' },
    operations: { 'receive.orders.placed': { action: 'receive', summary: 'Shop.reserve' } },
  });
  expect(stderr).toBe('');
});

test.each(['microservice', 'express', 'fastify'])(
  'a failure under Nest 11 has the same result as under Nest 12: %s',
  async (way) => {
    await cp(join(ROOT, 'test/nest-matrix'), join(application, 'matrix'), { recursive: true });
    const script = spawnScript(join(application, 'matrix/main.mjs'), {
      args: [way],
      env: { DATABASE_URL: await database() },
    });
    const { code } = await script.exited;
    const lines = script.lines.map((line) => JSON.parse(line) as { holds: boolean });
    expect(lines.filter(({ holds }) => !holds)).toEqual([]);
    expect({ code, output: code === 0 ? '' : script.output }).toEqual({ code: 0, output: '' });
    expect(lines.length).toBeGreaterThan(80);
  },
  120_000,
);
