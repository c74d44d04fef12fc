const { readdirSync, readFileSync } = require('node:fs');
const { join } = require('node:path');

/** The direction of the layers, lowest first. A library may import only those before it (docs/ARCHITECTURE.md). */
const layers = [
  'kernel',
  'schema',
  'log',
  ['guard', 'timer', 'dead-letter'],
  'erasure',
  'outbox',
  'consumer',
  ['half-message', 'saga'],
  ['nestjs', 'cli'],
];

const layerRules = [];
const below = [];
for (const layer of layers) {
  const names = [layer].flat();
  // A package may not import from its own layer, nor from any layer above.
  for (const name of names)
    layerRules.push({
      name: `layer-${name}`,
      severity: 'error',
      comment: `libs/${name} may import only the layers below it`,
      from: { path: `^libs/${name}/` },
      to: {
        path: '^libs/([^/]+)/',
        pathNot: `^libs/(${[name, ...below, 'testing'].join('|')})/`,
      },
    });
  below.push(...names);
}

/**
 * The rooms of the packages, lowest first. A room may import those before it, and the package's files outside of all rooms
 * (small shared ones) except its entry points, which import any room.
 */
const rooms = {
  kernel: ['errors', 'loop', 'sql', 'pg'],
  log: ['record', 'cipher', 'engine', 'append', 'sink', 'postgres'],
  outbox: ['transactions', 'contract', 'publish', 'relay', 'quarantine'],
  consumer: ['record', 'policy', 'reply', 'handler', 'progress', 'delivery', 'retry', 'parked', 'lane'],
  saga: [
    'errors',
    'definition',
    'builder',
    'machine',
    'message',
    'engine',
    'http',
    'loop',
    'participant',
    'client',
    'operator',
  ],
  nestjs: [
    'options',
    'transactions',
    'tracing',
    'metrics',
    'requests',
    'half-messages',
    'sagas',
    'guards',
    'handler',
    'instance',
    'client',
    'server',
    'discovery',
    'observability',
    'async-api',
    'injection',
    'http',
    'bridges',
    'module',
  ],
  cli: ['output', 'arguments', 'log', 'history', 'roles', 'doctor', 'status', 'init', 'commands'],
};

/** Rules that keep the imports of a package one way from room to room. */
function roomRules(library, names) {
  const src = `^libs/${library}/src/`;
  return [
    ...names.map((name, index) => ({
      name: `room-${library}-${name}`,
      severity: 'error',
      comment: `in libs/${library}, ${name} may import only the rooms below it`,
      from: { path: `${src}${name}/` },
      to: {
        path: src,
        pathNot: `${src}((${names.slice(0, index + 1).join('|')})/|(?!(index|internal|main|create-program)\\.ts$)[a-z-]+(\\.generated)?\\.ts$)`,
      },
    })),
    {
      name: `every-folder-of-${library}-is-a-room`,
      severity: 'error',
      comment: 'a new folder needs its place in the list of rooms',
      from: {},
      to: { path: `${src}[^/]+/`, pathNot: `${src}(${names.join('|')})/` },
    },
  ];
}

/**
 * Imports of packages by name are followed to their sources by tsconfig.layers.json. An entry point that it does not
 * name would resolve to `dist` and escape every rule.
 */
function assertEveryEntryPointIsKnown() {
  const { paths } = JSON.parse(readFileSync(join(__dirname, 'tsconfig.layers.json'), 'utf8')).compilerOptions;
  for (const library of readdirSync(join(__dirname, 'libs'))) {
    const manifest = JSON.parse(readFileSync(join(__dirname, 'libs', library, 'package.json'), 'utf8'));
    for (const [entry, target] of Object.entries(manifest.exports)) {
      const name = manifest.name + entry.slice(1);
      // A string is a file that is run or read, not imported.
      if (typeof target !== 'string' && !Object.hasOwn(paths, name))
        throw new Error(`tsconfig.layers.json does not say where ${name} is`);
    }
  }
}
assertEveryEntryPointIsKnown();

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...layerRules,
    ...Object.entries(rooms).flatMap(([library, names]) => roomRules(library, names)),
    {
      name: 'no-circular',
      severity: 'error',
      comment: 'imports of types count as well',
      from: {},
      to: { circular: true },
    },
    {
      name: 'public-names-only',
      severity: 'error',
      comment: 'a library is imported by its package name, never by a path into it',
      from: { path: '^(libs/([^/]+)|src|bench)/' },
      to: {
        path: '^libs/([^/]+)/src/(?!((saga|postgres|log-engine)/)?index\\.ts$|(postgres/)?internal\\.ts$)',
        pathNot: '^libs/$2/',
      },
    },
    {
      name: 'the-log-is-a-port',
      severity: 'error',
      comment:
        'what is above the log is given a LogEngine; only set-ups construct the PostgreSQL engine, and figures for ' +
        'operators read its tables',
      from: {
        path: '^(libs|src)/',
        pathNot:
          '^libs/log/src/postgres/|^libs/[^/]+/test/|^libs/cli/src/|^src/database/|' +
          '^libs/nestjs/src/(instance/(waybill|instance-retention)|options/waybill-options|observability/database-metrics|discovery/subscriber-watch)\\.ts$',
      },
      to: { path: '^libs/log/src/postgres/' },
    },
    {
      name: 'internal-is-for-our-packages',
      severity: 'error',
      comment: 'the sample shop uses only what users can use',
      from: { path: '^src/' },
      to: { path: '^libs/[^/]+/src/(postgres/)?internal\\.ts$' },
    },
    {
      name: 'libraries-know-no-application',
      severity: 'error',
      from: { path: '^libs/' },
      to: { path: '^(src|bench|test)/' },
    },
    {
      name: 'testing-is-for-tests',
      severity: 'error',
      comment: 'test equipment must not reach a production package',
      from: { path: '^libs/(?!testing/|cli/)[^/]+/src/' },
      to: { path: '^libs/testing/' },
    },
    {
      name: 'testing-knows-kernel-and-schema-only',
      severity: 'error',
      comment:
        'saga scenarios, and what an engine of the log must do, are separate parts, imported by their own names',
      from: { path: '^libs/testing/src/(?!saga/|log-engine/)' },
      to: { path: '^libs/(?!testing/|kernel/|schema/)' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(/dist/|/generated/)' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.layers.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
