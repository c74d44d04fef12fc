import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigurationError } from '@waybill/kernel';

/** The `package.json` of an application, as far as it is of interest here. */
export interface Manifest {
  readonly name?: string;
  readonly type?: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** An application of Nest on disk. */
export interface Application {
  readonly folder: string;
  readonly manifest: Manifest;
  /** Its folder of sources, within `folder`. */
  readonly sources: string;
  /** Nest's major release. */
  readonly nest: number;
}

const NEST = '@nestjs/core';
const SUPPORTED = [11, 12];

/** Looks at the application in `folder`. @throws ConfigurationError when there is none that Waybill works with */
export function readApplication(folder: string): Application {
  const path = join(folder, 'package.json');
  const refuse = (problem: string): ConfigurationError =>
    new ConfigurationError(`${folder} cannot be set up`, [problem]);
  if (!existsSync(path)) throw refuse('it has no package.json: run this in the folder of an application');
  const manifest = readJson<Manifest>(path);
  const range = manifest.dependencies?.[NEST];
  if (range === undefined)
    throw refuse(`its package.json has no dependency ${NEST}: make one by \`nest new\``);
  const nest = Number(/\d+/.exec(range)?.[0] ?? SUPPORTED.at(-1));
  if (!SUPPORTED.includes(nest))
    throw refuse(`it is for Nest ${nest}; Waybill works with ${SUPPORTED.join(' and ')}`);
  const settings = join(folder, 'nest-cli.json');
  const { sourceRoot } = existsSync(settings) ? readJson<{ sourceRoot?: string }>(settings) : {};
  return { folder, manifest, sources: sourceRoot ?? 'src', nest };
}

/** @throws ConfigurationError when the file is no JSON */
function readJson<T>(path: string): T {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch (error) {
    throw new ConfigurationError(`${path} cannot be read`, [String(error)]);
  }
}
