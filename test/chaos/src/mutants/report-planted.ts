import { appendFileSync } from 'node:fs';

const reported = new Set<string>();

/**
 * Reports an error that planted code has thrown, once, if it shows that the code does not fit the product any more: an error of
 * the language, thrown in the planted file itself.
 * @param file the planted file, from `libs`
 * @param reports the file that the report is added to
 */
export function reportPlanted(thrown: unknown, file: string, reports: string): void {
  const isOfLanguage =
    thrown instanceof ReferenceError || thrown instanceof TypeError || thrown instanceof SyntaxError;
  if (!isOfLanguage) return;
  const place = thrown.stack?.split('\n').find((line) => line.startsWith('    at '));
  if (place?.includes(`/libs/${file}:`) !== true) return;
  const report = `${thrown.name}: ${thrown.message} in ${file}\n`;
  if (reported.has(report)) return;
  reported.add(report);
  appendFileSync(reports, report);
}
