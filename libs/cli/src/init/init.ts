import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Application, type Manifest, readApplication } from './application.js';
import { addModule, type Edited, importsWithSuffix, startConsuming } from './source-edits.js';
import { STARTER_MODULE, STARTER_PATH, starterFiles } from './starter-files.js';
import { type Compiler, findCompiler } from './typescript.js';

/** The change that `waybill init` makes, or would make, to one file. */
export interface FileChange {
  /** Relative to the application's folder. */
  readonly path: string;
  readonly kind: 'create' | 'change' | 'keep' | 'by-hand';
  /** The new content of the file; for `by-hand`, the change to make by hand, and why. */
  readonly text: string;
}

/** The type of the transaction's handle in the example. */
const WANTED_TYPES = { '@types/pg': '^8.23.1' };

const IN_AN_APPLICATION =
  "import { WaybillServer } from '@waybill/nestjs' and write before app.listen(): " +
  'app.connectMicroservice({ strategy: app.get(WaybillServer) }, { inheritAppConfig: true }); ' +
  'app.enableShutdownHooks(); await app.init(); await app.startAllMicroservices(); ' +
  '(each of them once, even if there are other microservices)';
const IN_A_MICROSERVICE =
  "import { WaybillServer } from '@waybill/nestjs' and, when Waybill is its only transport, write: " +
  'const app = await NestFactory.createMicroservice<AsyncMicroserviceOptions>(AppModule, { inject: [WaybillServer], ' +
  'useFactory: (server: WaybillServer) => ({ strategy: server }) }); app.enableShutdownHooks(); await app.listen(); ' +
  'with other transports: const app = await NestFactory.create(AppModule); app.connectMicroservice(…) for each of them, ' +
  'app.connectMicroservice({ strategy: app.get(WaybillServer) }, { inheritAppConfig: true }); app.enableShutdownHooks(); ' +
  'await app.init(); await app.startAllMicroservices();';

/** @param version of Waybill, for the dependency */
export function planInit(folder: string, version: string): FileChange[] {
  const application = readApplication(folder);
  const compiler = findCompiler(folder);
  const modulePath = `${application.sources}/app.module.ts`;
  const suffix = suffixOf(application, compiler, modulePath);
  const starters = Object.entries(starterFiles(groupOf(application.manifest), suffix)).map(([path, text]) =>
    starter(folder, `${application.sources}/${path}`, text),
  );
  const from = `./${STARTER_PATH}${suffix}`;
  return [
    manifestChange(application, version),
    environmentChange(application),
    ...starters,
    sourceChange(folder, modulePath, compiler, {
      edit: (known, text) => addModule(known, text, STARTER_MODULE, from),
      byHand: () =>
        `import { ${STARTER_MODULE} } from '${from}' and add ${STARTER_MODULE} to the imports of @Module()`,
    }),
    sourceChange(folder, `${application.sources}/main.ts`, compiler, {
      edit: startConsuming,
      byHand: (text = '') => (text.includes('createMicroservice') ? IN_A_MICROSERVICE : IN_AN_APPLICATION),
    }),
  ];
}

/** Writes the created and changed files. */
export function applyChanges(folder: string, changes: readonly FileChange[]): void {
  for (const { path, kind, text } of changes) {
    if (kind === 'keep' || kind === 'by-hand') continue;
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

function read(folder: string, path: string): string | undefined {
  const whole = join(folder, path);
  return existsSync(whole) ? readFileSync(whole, 'utf8') : undefined;
}

/** Keeps an existing file, whatever its content: it belongs to the application. */
function starter(folder: string, path: string, text: string): FileChange {
  const there = read(folder, path);
  return { path, kind: there === undefined ? 'create' : 'keep', text: there ?? text };
}

function changeOf(path: string, before: string, text: string): FileChange {
  return { path, kind: before === text ? 'keep' : 'change', text };
}

function manifestChange({ folder, manifest, nest }: Application, version: string): FileChange {
  const path = 'package.json';
  const before = read(folder, path) ?? '';
  const wanted = {
    '@nestjs/microservices': `^${nest}.0.0`,
    '@waybill/cli': `^${version}`,
    '@waybill/nestjs': `^${version}`,
  };
  const known = { ...manifest.devDependencies, ...manifest.dependencies };
  const missing = (packages: Readonly<Record<string, string>>): [string, string][] =>
    Object.entries(packages).filter(([name]) => known[name] === undefined);
  const script = manifest.scripts?.['waybill:migrate'];
  if (missing({ ...wanted, ...WANTED_TYPES }).length === 0 && script !== undefined)
    return { path, kind: 'keep', text: before };
  const changed = {
    ...manifest,
    scripts: { ...manifest.scripts, 'waybill:migrate': script ?? 'waybill migrate && waybill migrate --bus' },
    dependencies: sorted(manifest.dependencies, missing(wanted)),
    devDependencies: sorted(manifest.devDependencies, missing(WANTED_TYPES)),
  };
  const indent = /^[ \t]+(?=")/m.exec(before)?.[0] ?? '  ';
  return changeOf(path, before, `${JSON.stringify(changed, undefined, indent)}\n`);
}

function sorted(
  packages: Readonly<Record<string, string>> | undefined,
  more: readonly [string, string][],
): Record<string, string> {
  const all = { ...packages, ...Object.fromEntries(more) };
  return Object.fromEntries(Object.entries(all).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function environmentChange({ folder, manifest }: Application): FileChange {
  const path = '.env';
  const before = read(folder, path);
  const line = `DATABASE_URL=postgresql://localhost:5432/${groupOf(manifest)}\n`;
  if (before === undefined) return { path, kind: 'create', text: line };
  if (/^\s*(export\s+)?DATABASE_URL\s*=/m.test(before)) return { path, kind: 'keep', text: before };
  return changeOf(path, before, `${before}${before === '' || before.endsWith('\n') ? '' : '\n'}${line}`);
}

function sourceChange(
  folder: string,
  path: string,
  compiler: Compiler | undefined,
  how: { edit(compiler: Compiler, text: string): Edited; byHand(text: string | undefined): string },
): FileChange {
  const before = read(folder, path);
  const refuse = (why: string): FileChange => ({
    path,
    kind: 'by-hand',
    text: `${why}; ${how.byHand(before)}`,
  });
  if (before === undefined) return refuse('the file does not exist');
  if (compiler === undefined) return refuse('no TypeScript 5 or 6 is installed to read it with');
  const edited = how.edit(compiler, before);
  return 'refused' in edited ? refuse(edited.refused) : changeOf(path, before, edited.text);
}

function suffixOf({ folder, manifest }: Application, compiler: Compiler | undefined, path: string): string {
  const text = read(folder, path);
  const seen = compiler === undefined || text === undefined ? undefined : importsWithSuffix(compiler, text);
  return (seen ?? manifest.type === 'module') ? '.js' : '';
}

/** The name of the package without its scope, as a valid name of a consumer group and a database. */
function groupOf({ name = '' }: Manifest): string {
  const plain = name.replace(/^@[^/]*\//, '').replaceAll(/[^a-z0-9_-]/g, '-');
  return plain === '' ? 'app' : plain;
}
