/** npm can install nothing without a cache that it can write. Where HOME is read-only, the cache is in the project. */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../processes.mjs';

const OWN = join(projectRoot, '.waybill', 'npm-cache');

/** @returns {Record<string, string>} what the environment of npm has to say about its cache; empty when the user's will do */
export function npmCacheSettings() {
  const usual =
    process.env.npm_config_cache ?? join(homedir(), process.platform === 'win32' ? 'npm-cache' : '.npm');
  return isWritable(usual) ? {} : { npm_config_cache: OWN };
}

function isWritable(folder) {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
