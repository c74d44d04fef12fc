import { oneLine } from '@waybill/kernel/internal';

/**
 * A line of output. What is put into it stays in it: keys, headers, error texts and names are written by others, and a line
 * break in one of them would begin a line that reads as the command's own.
 */
export function line(parts: TemplateStringsArray, ...values: readonly (string | number | boolean)[]): string {
  const filled = parts.map((part, index) => {
    const value = values[index];
    return value === undefined ? part : `${part}${oneLine(String(value))}`;
  });
  return `${filled.join('')}\n`;
}

/** A text of several lines, each marked as part of it. */
export function quoted(text: string): string {
  return text
    .split(/\r\n|[\n\r\u2028\u2029]/u)
    .map((part) => `  | ${oneLine(part)}\n`)
    .join('');
}
