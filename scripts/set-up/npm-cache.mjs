/** npm cannot install without a writable cache. If HOME is read-only, the cache is in the project. */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../processes.mjs';

const OWN = join(projectRoot, '.waybill', 'npm-cache');

/** @returns {Record<string, string>} the environment of npm for its cache; empty when the user's cache is usable */
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
