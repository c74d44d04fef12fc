/** Generates the Prisma clients of prisma/<service>/schema.prisma when a schema or Prisma itself has changed. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { capture, projectRoot } from '../processes.mjs';

const SCHEMAS = join(projectRoot, 'prisma');
const STAMP = '.schema-hash';

/** The schemas whose client is missing or outdated. */
export function staleClients() {
  if (!existsSync(SCHEMAS)) return [];
  const version = readFileSync(join(projectRoot, 'node_modules', 'prisma', 'package.json'), 'utf8');
  return readdirSync(SCHEMAS)
    .map((service) => join(SCHEMAS, service, 'schema.prisma'))
    .filter((path) => existsSync(path))
    .map((path) => describeClient(path, version))
    .filter(({ stamp, hash }) => !existsSync(stamp) || readFileSync(stamp, 'utf8') !== hash);
}

function describeClient(path, version) {
  const schema = readFileSync(path, 'utf8');
  const output = /^\s*output\s*=\s*"([^"]+)"/m.exec(schema)?.[1];
  if (output === undefined)
    throw new Error(`${relative(projectRoot, path)} names no output. Add one to its generator.`);
  const hash = createHash('sha256').update(version).update(schema).digest('hex');
  return { path, hash, stamp: join(resolve(path, '..', output), STAMP) };
}

/** @throws {Error} with Prisma's output */
export async function generateClients(clients) {
  await Promise.all(clients.map(generateClient));
}

async function generateClient({ path, hash, stamp }) {
  const cli = join(projectRoot, 'node_modules', 'prisma', 'build', 'index.js');
  const { code, output } = await capture(process.execPath, [cli, 'generate', '--schema', path], {
    env: {
      // Any executable works: generating needs no engine, but without one the CLI requests it from a server.
      PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
      CHECKPOINT_DISABLE: '1',
    },
  });
  if (code !== 0)
    throw new Error(`Prisma could not generate the client of ${relative(projectRoot, path)}:\n${output}`);
  writeFileSync(stamp, hash);
}
