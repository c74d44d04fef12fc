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

const allowed = [];
for (const layer of layers) {
  const names = [layer].flat();
  const below = allowed.slice();
  for (const name of names) {
    // A package of the same layer is out of reach; so is every layer above.
    layers.rules = layers.rules ?? [];
    layers.rules.push({
      name: `layer-${name}`,
      severity: 'error',
      comment: `libs/${name} may import only the layers below it`,
      from: { path: `^libs/${name}/` },
      to: {
        path: '^libs/([^/]+)/',
        pathNot: `^libs/(${[name, ...below, 'testing'].join('|')})/`,
      },
    });
  }
  allowed.push(...names);
}

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...layers.rules,
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'public-names-only',
      severity: 'error',
      comment: 'a library is imported by its package name, never by a path into it',
      from: { path: '^(libs/([^/]+)|src|bench)/' },
      to: {
        path: '^libs/([^/]+)/src/(?!(saga/)?index\\.ts$)',
        pathNot: '^libs/$2/',
      },
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
      comment: 'scenarios of sagas are a part of their own, which those who use it import by its own name',
      from: { path: '^libs/testing/src/(?!saga/)' },
      to: { path: '^libs/(?!testing/|kernel/|schema/)' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(/dist/|/generated/)' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
