import { oneLine } from '@waybill/kernel/internal';

/**
 * A line of output. Inserted values cannot add lines: others write keys, headers, error messages and names, and a line
 * break in one of them could forge a line of the command.
 */
export function line(parts: TemplateStringsArray, ...values: readonly (string | number | boolean)[]): string {
  const filled = parts.map((part, index) => {
    const value = values[index];
    return value === undefined ? part : `${part}${oneLine(String(value))}`;
  });
  return `${filled.join('')}\n`;
}

/** A text of several lines, each marked as belonging to it. */
export function quoted(text: string): string {
  return text
    .split(/\r\n|[\n\r\u2028\u2029]/u)
    .map((part) => `  | ${oneLine(part)}\n`)
    .join('');
}
