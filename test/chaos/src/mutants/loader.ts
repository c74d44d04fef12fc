import type { LoadHook } from 'node:module';
import { plant, type Planting } from './mutant.js';

let plantings: readonly Planting[] = [];

/** Takes what to plant, as JSON. */
export function initialize(given: string | undefined): void {
  if (given !== undefined) plantings = JSON.parse(given) as Planting[];
}

/** Replaces texts of the file, if any are planted in it. @throws StaleMutantError */
export const load: LoadHook = async (url, context, next) => {
  const loaded = await next(url, context);
  const own = plantings.filter(({ at }) => 'file' in at && url.endsWith(`/libs/${at.file}`));
  if (own.length === 0) return loaded;
  const text = Buffer.from(loaded.source as Uint8Array).toString();
  return { ...loaded, source: own.reduce((planted, one) => plant(one, planted), text) };
};
