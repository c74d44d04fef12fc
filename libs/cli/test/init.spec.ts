import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import { addModule, startConsuming } from '../src/init/source-edits.js';
import { type Compiler, findCompiler } from '../src/init/typescript.js';

const NODE_MODULES = fileURLToPath(new URL('../../../node_modules', import.meta.url));

/** The one that this workspace has. */
const compiler = findCompiler(NODE_MODULES) as Compiler;

const MODULE = `import { Module } from '@nestjs/common';
import { AppController } from './app.controller.js';

@Module({
  imports: [],
  controllers: [AppController],
})
export class AppModule {}
`;
const MAIN = `import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

async function bootstrap() {
  const app = await NestFactory.create(AppModule);
  await app.listen(process.env.PORT ?? 3000);
}
await bootstrap();
`;
const MANIFEST = {
  name: '@acme/shop',
  type: 'module',
  scripts: { start: 'nest start' },
  dependencies: { '@nestjs/core': '^12.0.1', rxjs: '^7.8.1' },
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-init-'));
});
afterEach(() => {
  process.exitCode = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** Makes the application; a value of undefined leaves a file away. */
function application(files: Record<string, string | object | undefined> = {}): void {
  const all = { 'package.json': MANIFEST, 'src/app.module.ts': MODULE, 'src/main.ts': MAIN, ...files };
  for (const [path, content] of Object.entries(all)) {
    if (content === undefined) continue;
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(
      join(folder, path),
      typeof content === 'string' ? content : JSON.stringify(content, undefined, 4),
    );
  }
}

function withCompiler(): void {
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(join(NODE_MODULES, 'typescript'), join(folder, 'node_modules/typescript'), 'junction');
}

async function init(...options: string[]): Promise<string[]> {
  let text = '';
  const program = createProgram({ write: (part) => (text += part) });
  await program.parseAsync(['node', 'waybill', 'init', folder, ...options]);
  return text.trimEnd().split('\n');
}

const read = (path: string): string => readFileSync(join(folder, path), 'utf8');
const everything = (): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules'))
      .map(({ parentPath, name }) => [join(parentPath, name), readFileSync(join(parentPath, name), 'utf8')]),
  );

test('adds dependencies, address, example, module and server; a second run changes nothing', async () => {
  application();
  withCompiler();
  expect((await init()).slice(0, 6)).toEqual([
    'changed  package.json',
    'created  .env',
    'created  src/messaging/messaging.module.ts',
    'created  src/messaging/greetings.controller.ts',
    'changed  src/app.module.ts',
    'changed  src/main.ts',
  ]);
  expect(process.exitCode).toBe(undefined);
  expect(JSON.parse(read('package.json'))).toEqual({
    ...MANIFEST,
    scripts: { start: 'nest start', 'waybill:migrate': 'waybill migrate && waybill migrate --bus' },
    dependencies: {
      '@nestjs/core': '^12.0.1',
      '@nestjs/microservices': '^12.0.0',
      '@waybill/cli': '^0.1.0',
      '@waybill/nestjs': '^0.1.0',
      rxjs: '^7.8.1',
    },
    devDependencies: { '@types/pg': '^8.23.1' },
  });
  expect(read('package.json')).toContain('\n    "name"');
  expect(read('.env')).toBe('DATABASE_URL=postgresql://localhost:5432/shop\n');
  expect(read('src/app.module.ts')).toBe(
    MODULE.replace('[]', '[MessagingModule]').replace(
      "controller.js';\n",
      "controller.js';\nimport { MessagingModule } from './messaging/messaging.module.js';\n",
    ),
  );
  expect(read('src/main.ts')).toBe(
    MAIN.replace("module.js';\n", "module.js';\nimport { WaybillServer } from '@waybill/nestjs';\n").replace(
      '  await app.listen',
      `  app.connectMicroservice({ strategy: app.get(WaybillServer) }, { inheritAppConfig: true });
  app.enableShutdownHooks();
  await app.init();
  await app.startAllMicroservices();
  await app.listen`,
    ),
  );
  const before = everything();
  expect((await init()).at(-1)).toBe('nothing to do, Waybill is already set up');
  expect(everything()).toEqual(before);
});

test('a dry run shows what would be done, and changes nothing', async () => {
  application();
  withCompiler();
  const before = everything();
  const lines = await init('--dry-run');
  expect(lines).toContain('would create  src/messaging/messaging.module.ts');
  expect(lines).toContain('would change  src/main.ts');
  expect(everything()).toEqual(before);
});

test('without a compiler the sources are not changed, and it prints what to write', async () => {
  application();
  const lines = await init();
  expect(read('src/main.ts')).toBe(MAIN);
  expect(read('src/app.module.ts')).toBe(MODULE);
  expect(lines).toContainEqual(
    expect.stringMatching(/^BY HAND {2}src\/main\.ts: no TypeScript .*connectMicroservice/),
  );
  expect(lines).toContainEqual(expect.stringMatching(/^BY HAND {2}src\/app\.module\.ts: .*MessagingModule/));
  expect(process.exitCode).toBe(1);
});

test('what the application already has is kept', async () => {
  application({
    '.env': 'PORT=1\nDATABASE_URL=postgresql://db/mine',
    'src/messaging/greetings.controller.ts': '// mine\n',
    'package.json': {
      ...MANIFEST,
      dependencies: { ...MANIFEST.dependencies, '@waybill/nestjs': 'file:x.tgz' },
    },
  });
  withCompiler();
  await init();
  expect(read('.env')).toBe('PORT=1\nDATABASE_URL=postgresql://db/mine');
  expect(read('src/messaging/greetings.controller.ts')).toBe('// mine\n');
  expect(read('package.json')).toContain('"@waybill/nestjs": "file:x.tgz"');
});

test('imports follow the conventions of the application: CommonJS, another folder, another release', async () => {
  application({
    'package.json': { name: 'old', dependencies: { '@nestjs/core': '^11.0.1' } },
    'nest-cli.json': { sourceRoot: 'source' },
    'source/app.module.ts': MODULE.replaceAll('.js', ''),
    'source/main.ts': MAIN.replaceAll('.js', ''),
  });
  withCompiler();
  await init();
  expect(read('source/app.module.ts')).toContain(`from './messaging/messaging.module';`);
  expect(read('source/messaging/messaging.module.ts')).toContain(`from './greetings.controller';`);
  expect(JSON.parse(read('package.json'))).toMatchObject({
    dependencies: { '@nestjs/microservices': '^11.0.0' },
  });
  expect(existsSync(join(folder, 'src/messaging'))).toBe(false);
});

test.each([
  ['no package.json', { 'package.json': undefined }],
  ['no dependency', { 'package.json': { name: 'x' } }],
  ['Nest 10', { 'package.json': { dependencies: { '@nestjs/core': '~10.4.1' } } }],
  ['cannot be read', { 'package.json': '{ not json' }],
])('what is not an application is refused: %s', async (problem, files) => {
  application(files);
  await expect(init()).rejects.toMatchObject({
    code: 'CONFIGURATION_INVALID',
    problems: [expect.stringMatching(new RegExp(`${problem}|JSON`))],
  });
});

const add = (text: string): string | { refused: string } => {
  const edited = addModule(compiler, text, 'M', './m');
  return 'text' in edited ? edited.text : edited;
};

test.each([
  ['@Module({ imports: [A] })\nclass X {}', '@Module({ imports: [A, M] })\nclass X {}'],
  ['@Module({ imports: [A, B,] })\nclass X {}', '@Module({ imports: [A, B, M,] })\nclass X {}'],
  [
    '@Module({\r\n  imports: [\r\n    A,\r\n  ],\r\n})\r\nclass X {}',
    '@Module({\r\n  imports: [\r\n    A,\r\n    M,\r\n  ],\r\n})\r\nclass X {}',
  ],
  ['@Module({})\nclass X {}', '@Module({ imports: [M] })\nclass X {}'],
  [
    '@Module({\n  providers: [],\n})\nclass X {}',
    '@Module({\n  imports: [M],\n  providers: [],\n})\nclass X {}',
  ],
  [
    '@Module({ imports: [F.forRoot({ a: [1] })] })\nclass X {}',
    '@Module({ imports: [F.forRoot({ a: [1] }), M] })\nclass X {}',
  ],
])('a module is added to %j', (before, after) => {
  const end = before.includes('\r\n') ? '\r\n' : '\n';
  expect(add(before)).toBe(`import { M } from './m';${end}${after}`);
});

test('the quotes of the file are used', () => {
  expect(add('import { A } from "a";\n@Module({ imports: [A] })\nclass X {}')).toBe(
    'import { A } from "a";\nimport { M } from "./m";\n@Module({ imports: [A, M] })\nclass X {}',
  );
});

test.each([
  ['class X {}', /no class/],
  ['@Module({})\nclass X {}\n@Module({})\nclass Y {}', /several/],
  ['@Module({ imports: modules })\nclass X {}', /not a plain array/],
  ['@Module({ imports })\nclass X {}', /not a plain array/],
  ['@Module(metadata)\nclass X {}', /no class/],
])('a module is not added where the place is ambiguous: %j', (text, why) => {
  expect(add(text)).toEqual({ refused: expect.stringMatching(why) });
});

test.each([
  [MAIN.replace('await app.listen', 'void app.listen'), /listen/],
  [MAIN.replace('await NestFactory.create(AppModule)', 'await createApp()'), /NestFactory/],
  [MAIN.replace('  await app.listen', '  void app.startAllMicroservices();\n  await app.listen'), /startAll/],
  [MAIN.replace('NestFactory.create(', 'NestFactory.createMicroservice('), /without HTTP/],
  [MAIN.replace('  await app.listen', '  if (x) await app.listen'), /separate line/],
  [`${MAIN}const app2 = await NestFactory.create(Other);`, /NestFactory/],
])('the server is not started where the place is ambiguous', (text, why) => {
  expect(startConsuming(compiler, text)).toEqual({ refused: expect.stringMatching(why) });
});

const start = (text: string): string | { refused: string } => {
  const edited = startConsuming(compiler, text);
  return 'text' in edited ? edited.text : edited;
};

test('Waybill is added to other microservices, and all are started once', () => {
  const hybrid = MAIN.replace(
    '  await app.listen',
    `  app.connectMicroservice({ transport: Transport.TCP });
  await app.startAllMicroservices();
  await app.listen`,
  );
  expect(start(hybrid)).toContain(`
  app.connectMicroservice({ transport: Transport.TCP });
  app.connectMicroservice({ strategy: app.get(WaybillServer) }, { inheritAppConfig: true });
  app.enableShutdownHooks();
  await app.init();
  await app.startAllMicroservices();
  await app.listen`);
});

test('calls that the application already makes are not repeated', () => {
  const text = start(
    MAIN.replace(
      '  await app.listen',
      '  app.enableShutdownHooks();\n  await app.init();\n  await app.listen',
    ),
  ) as string;
  for (const call of ['enableShutdownHooks', 'init', 'startAllMicroservices'])
    expect(text.split(`app.${call}()`)).toHaveLength(2);
});

test('a microservice without HTTP gets instructions of its own', async () => {
  application({ 'src/main.ts': MAIN.replace('NestFactory.create(', 'NestFactory.createMicroservice(') });
  withCompiler();
  const text = (await init()).join('\n');
  expect(text).toMatch(
    /BY HAND {2}src\/main\.ts: it is a microservice without HTTP.*createMicroservice.*app\.listen\(\);/,
  );
});
