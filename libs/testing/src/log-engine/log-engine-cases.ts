import { appendCases } from './append-cases.js';
import { fetchCases } from './fetch-cases.js';
import { handOverCases } from './hand-over-cases.js';
import { CaseLog, type LogUnderTest } from './log-under-test.js';
import { subjectKeyCases } from './subject-key-cases.js';
import { membershipCases } from './membership-cases.js';
import { topicCases } from './topic-cases.js';

/** One thing that every engine must do. */
export interface LogEngineCase {
  readonly name: string;
  /** Resolves if the engine does it, and rejects with what is wrong. */
  run(): Promise<void>;
}

/**
 * What every engine of the log must do, as cases for any test framework. Cases use topics and groups of their own: they
 * may run side by side, except those of other suites that let records expire.
 *
 * ```ts
 * describe('my engine', () => {
 *   for (const { name, run } of logEngineCases(() => log)) test(name, run);
 * });
 * ```
 * @param underTest returns the log once a case runs
 */
export function logEngineCases(underTest: () => LogUnderTest): LogEngineCase[] {
  return [
    ...topicCases,
    ...appendCases,
    ...fetchCases,
    ...handOverCases,
    ...subjectKeyCases,
    ...membershipCases,
  ].map(([name, check]) => ({
    name,
    run: async () => {
      const log = new CaseLog(underTest());
      try {
        await check(log);
      } finally {
        await log.close();
      }
    },
  }));
}
