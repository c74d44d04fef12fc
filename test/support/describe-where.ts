import { describe } from '@jest/globals';

/**
 * A suite that needs a program which not every machine has. If it is missing the suite is skipped with a message; in CI
 * it fails.
 * @param needs what is missing, for the reader
 */
export function describeWhere(isThere: boolean, name: string, needs: string, suite: () => void): void {
  if (isThere) {
    describe(name, () => {
      suite();
    });
    return;
  }
  if (process.env['CI'] === 'true') throw new Error(`"${name}" needs ${needs}`);
  console.warn(`"${name}" is skipped: it needs ${needs}`);
  // oxlint-disable-next-line jest/no-disabled-tests
  describe.skip(name, () => {
    suite();
  });
}
