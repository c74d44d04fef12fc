import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigurationError } from '@waybill/kernel';

/** The parts of an application's `package.json` that matter here. */
export interface Manifest {
  readonly name?: string;
  readonly type?: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** A Nest application on disk. */
export interface Application {
  readonly folder: string;
  readonly manifest: Manifest;
  /** Its source folder, relative to `folder`. */
  readonly sources: string;
  /** Nest's major release. */
  readonly nest: number;
}

const NEST = '@nestjs/core';
const SUPPORTED = [11, 12];

/** Reads the application in `folder`. @throws ConfigurationError if Waybill does not support it */
export function readApplication(folder: string): Application {
  const path = join(folder, 'package.json');
  const refuse = (problem: string): ConfigurationError =>
    new ConfigurationError(`${folder} cannot be set up`, [problem]);
  if (!existsSync(path)) throw refuse('it has no package.json: run this in the folder of an application');
  const manifest = readJson<Manifest>(path);
  const range = manifest.dependencies?.[NEST];
  if (range === undefined)
    throw refuse(`its package.json has no dependency ${NEST}: create an application with \`nest new\``);
  const nest = Number(/\d+/.exec(range)?.[0] ?? SUPPORTED.at(-1));
  if (!SUPPORTED.includes(nest))
    throw refuse(`it uses Nest ${nest}; Waybill works with ${SUPPORTED.join(' and ')}`);
  const settings = join(folder, 'nest-cli.json');
  const { sourceRoot } = existsSync(settings) ? readJson<{ sourceRoot?: string }>(settings) : {};
  return { folder, manifest, sources: sourceRoot ?? 'src', nest };
}

/** @throws ConfigurationError if the file is not JSON */
function readJson<T>(path: string): T {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch (error) {
    throw new ConfigurationError(`${path} cannot be read`, [String(error)]);
  }
}
