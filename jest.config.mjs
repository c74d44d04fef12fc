import { availableParallelism, totalmem } from 'node:os';

/** A worker with its servers and processes takes up to 3 GiB. */
const WORKER_BYTES = 3 * 2 ** 30;
const workers = Math.max(1, Math.min(availableParallelism(), Math.floor(totalmem() / WORKER_BYTES)));

// For the waits of the tests, and of the programs that they start.
process.env.WAYBILL_PATIENCE ??= '10';

/** Sources are run as they are, through swc; processes that tests start run the compiled `dist`. */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/libs', '<rootDir>/src', '<rootDir>/test'],
  testMatch: ['**/*.spec.ts'],
  globalSetup: '<rootDir>/test/setup/global-setup.mjs',
  globalTeardown: '<rootDir>/test/setup/global-teardown.mjs',
  modulePathIgnorePatterns: ['<rootDir>/.*/dist/', '<rootDir>/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2023',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          keepClassNames: true,
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  moduleNameMapper: {
    '^@waybill/testing/saga$': '<rootDir>/libs/testing/src/saga/index.ts',
    '^@waybill/([a-z-]+)/internal$': '<rootDir>/libs/$1/src/internal.ts',
    '^@waybill/([a-z-]+)$': '<rootDir>/libs/$1/src/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  // Tells a test that hangs from one that is late; machines that share their processors are late by tens.
  testTimeout: 600_000,
  maxWorkers: workers,
};
