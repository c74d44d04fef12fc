import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigurationError, describeError } from '@waybill/kernel';
import { own } from '@waybill/kernel/internal';
import type { Command } from 'commander';
import { fileError } from '../output/file-error.js';
import type { Output } from '../output/output.js';

interface AsyncApiOptions {
  readonly module: string;
  readonly instance: string;
  readonly out?: string;
}

/** The part of a Nest application that is used here. */
interface Application {
  get(token: symbol, options: { readonly strict: false }): { document(): unknown };
  close(): Promise<void>;
}

/** The part of `@nestjs/core` that is used here. */
interface NestCore {
  readonly NestFactory: {
    createMicroservice(module: unknown, options: object): Promise<Application>;
  };
}

/** The exports of a file; for CommonJS, they are always also under `default`. */
type Exports<T> = Partial<T> & { readonly default?: T };

/** Adds `asyncapi`: a service's messaging interface, from its module. */
export function addAsyncApiCommand(program: Command, output: Output): void {
  program
    .command('asyncapi')
    .requiredOption(
      '--module <file.js[#Export]>',
      "the application's compiled module (default export: AppModule)",
    )
    .option('--instance <name>', 'the instance of Waybill, if the module has several', 'default')
    .option('--out <file>', 'writes the document to this file')
    .description("prints the service's AsyncAPI 3.0 document; the module is created, but not started")
    .action(async ({ module, instance, out }: AsyncApiOptions) => {
      const text = `${JSON.stringify(await documentOf(module, instance), null, 2)}\n`;
      if (out === undefined) output.write(text);
      else write(out, text);
    });
}

/** Creates the providers of the module without calling their hooks. */
async function documentOf(module: string, instance: string): Promise<unknown> {
  const [file = '', name] = module.split('#');
  const path = resolve(file);
  if (!existsSync(path))
    throw new ConfigurationError(`${file} cannot be described`, [
      'the file does not exist: compile the application and give the compiled module, for example dist/app.module.js',
    ]);
  // Uses the application's own versions of Nest and Waybill.
  const nest = pathToFileURL(nestOf(path, file)).href;
  const core = (await import(nest)) as Exports<NestCore>;
  const { NestFactory } = (core.NestFactory === undefined ? core.default : core) as NestCore;
  const exported = await exportsOf(path, file);
  const strategy = { listen: (): void => {}, close: (): void => {} };
  const app = await NestFactory.createMicroservice(moduleIn(exported, name, file), {
    strategy,
    logger: false,
    abortOnError: false,
  });
  try {
    return app.get(Symbol.for(`waybill.async-api.${instance}`), { strict: false }).document();
  } catch (error) {
    throw new ConfigurationError(`${file} cannot be described`, [describeError(error)], { cause: error });
  } finally {
    // Hooks of an application that was never started may fail; they are not needed.
    await app.close().catch(() => {});
  }
}

function nestOf(path: string, file: string): string {
  try {
    return createRequire(path).resolve('@nestjs/core');
  } catch (error) {
    const problem = '@nestjs/core cannot be found from there: run this on a module of the application';
    throw new ConfigurationError(`${file} cannot be described`, [problem], { cause: error });
  }
}

async function exportsOf(path: string, file: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new ConfigurationError(`${file} cannot be described`, [`cannot load it: ${describeError(error)}`], {
      cause: error,
    });
  }
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw fileError('The document cannot be written', path, error);
  }
}

/** The exports of a CommonJS file are also under `default`. */
function moduleIn(
  exported: Readonly<Record<string, unknown>>,
  name: string | undefined,
  file: string,
): unknown {
  const inner = exported['default'];
  const all = { ...(typeof inner === 'object' ? inner : { default: inner }), ...exported };
  const found = name === undefined ? (all['AppModule'] ?? all['default']) : own(all, name);
  if (typeof found === 'function' || (typeof found === 'object' && found !== null)) return found;
  throw new ConfigurationError(`${file} cannot be described`, [
    `it exports no module ${name ?? 'AppModule'}; give another name as ${file}#Name`,
  ]);
}
