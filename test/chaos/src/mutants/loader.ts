import type { LoadHook } from 'node:module';
import { type Mutant, plant } from './mutant.js';

let mutant: Mutant | undefined;

/** Takes the bug to plant, as JSON. */
export function initialize(given: string | undefined): void {
  mutant = given === undefined ? undefined : (JSON.parse(given) as Mutant);
}

/** Replaces the source of the file that the bug is planted in. @throws StaleMutantError */
export const load: LoadHook = async (url, context, next) => {
  const loaded = await next(url, context);
  if (mutant === undefined || !('file' in mutant.at) || !url.endsWith(`/libs/${mutant.at.file}`))
    return loaded;
  return { ...loaded, source: plant(mutant, Buffer.from(loaded.source as Uint8Array).toString()) };
};
