import {
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
import ts from 'typescript';
import { starterFiles } from '../../libs/cli/src/init/starter-files.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** As in `nest new`, where that matters for decorated classes. */
const SETTINGS: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2023,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  isolatedModules: true,
  strict: true,
  skipLibCheck: true,
  noEmit: true,
  types: ['node'],
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-docs-'));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction');
  write('package.json', '{ "type": "module" }');
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

/** The compiler's errors for files. */
function errorsOf(paths: readonly string[]): string[] {
  const program = ts.createProgram(
    paths.map((path) => join(folder, path)),
    SETTINGS,
  );
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

/** The TypeScript of a document, and the path before a block. */
function blocksOf(document: string): { readonly path: string | undefined; readonly text: string }[] {
  return [...document.matchAll(/(?:<!-- (\S+) -->\n\n)?```ts\n([\s\S]*?)```/g)].map(
    ([, path, text = '']) => ({
      path,
      text,
    }),
  );
}

test("what waybill init creates compiles, also after its hint is followed, and so does the first hour's edit", () => {
  for (const [path, text] of Object.entries(starterFiles('shop', '.js'))) write(path, text);
  const controller = 'messaging/greetings.controller.ts';
  const starters = Object.keys(starterFiles('shop', '.js'));
  expect(errorsOf(starters)).toEqual([]);
  const starter = readFileSync(join(folder, controller), 'utf8');
  const followed = starter.replace(
    /\/\/ Write your own rows.*/,
    `await tx.query('insert into mine values (1)');`,
  );
  expect(followed).not.toBe(starter);
  write(controller, followed);
  expect(errorsOf(starters)).toEqual([]);

  const edits = blocksOf(read('docs/FIRST-HOUR.md')).filter(({ path }) => path !== undefined);
  expect(edits.map(({ path }) => path)).toEqual([`src/${controller}`]);
  for (const { path = '', text } of edits) write(path.replace('src/', ''), text);
  expect(errorsOf(starters)).toEqual([]);
});

const STARTS = ['docs/HANDLERS.md', 'docs/TRANSPORT.md'].flatMap((document) =>
  blocksOf(read(document))
    .filter(({ text }) => isService(text))
    .map(({ text }) => ({ document, text })),
);

test.each(STARTS)('a start of $document compiles', ({ text }) => {
  write('app.module.ts', 'export class AppModule {}\n');
  write('main.ts', text);
  expect(errorsOf(['main.ts'])).toEqual([]);
});

/** Whether a text starts a service in its own process; a test does not. */
function isService(text: string): boolean {
  return text.includes('NestFactory.') && !text.includes('SagaTestEnvironment');
}

test.each([
  ...STARTS.map(({ document, text }) => [document, text] as const),
  ...['README.md', 'docs/SAGAS.md'].flatMap((path) =>
    blocksOf(read(path))
      .filter(({ text }) => isService(text))
      .map(({ text }) => [path, text] as const),
  ),
  ...['examples', 'src']
    .flatMap((path) =>
      readdirSync(join(ROOT, path), { recursive: true }).map((name) => join(path, String(name))),
    )
    .filter((path) => path.endsWith('.ts') && !path.includes('generated'))
    .filter((path) => isService(read(path)))
    .map((path) => [path, read(path)] as const),
])('%s lets its handlers end, and starts them after its providers are ready', (_path, text) => {
  expect(text).toContain('.enableShutdownHooks()');
  if (text.includes('startAllMicroservices'))
    expect(text).toMatch(/connectMicroservice[\s\S]*\.init\(\)[\s\S]*startAllMicroservices/);
});
