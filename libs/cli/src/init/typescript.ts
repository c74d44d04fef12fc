import { createRequire } from 'node:module';
import { join } from 'node:path';
import type * as TypeScript from 'typescript';

/** The compiler API. */
export type Compiler = typeof TypeScript;

/** The application's own TypeScript; undefined if there is none, or one without the API (TypeScript 7). */
export function findCompiler(folder: string): Compiler | undefined {
  try {
    const found = createRequire(join(folder, 'package.json'))('typescript') as Partial<Compiler>;
    return typeof found.createSourceFile === 'function' ? (found as Compiler) : undefined;
  } catch {
    return undefined;
  }
}
