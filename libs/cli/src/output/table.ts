import Table from 'cli-table3';
import { oneLine } from '@waybill/kernel/internal';
import type { Command } from 'commander';
import type { Output } from './output.js';

/** A column of a list. */
export interface Column<Row> {
  readonly head: string;
  readonly of: (row: Row) => string | number | Date | null | undefined;
  /** Default: left. */
  readonly align?: 'right';
}

/** Options of every command that prints a list. */
export interface ListOptions {
  readonly json?: true;
}

/** No borders: one line per row, so that `grep` and `cut` work. */
const PLAIN = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

/** Adds the option for JSON to a command that prints a list. */
export function listing(command: Command): Command {
  return command.option('--json', 'prints the list as JSON');
}

/**
 * Writes a list: as a table for people, or nothing if it is empty; as a JSON array for programs, `[]` if it is empty.
 * @param last an extra last row, such as totals; not in JSON
 */
export function writeList<Row>(
  output: Output,
  { json }: ListOptions,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  last?: readonly string[],
): void {
  if (json === true) output.write(`${JSON.stringify(rows)}\n`);
  else if (rows.length > 0) output.write(tableOf(rows, columns, last));
}

function tableOf<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  last: readonly string[] | undefined,
): string {
  const table = new Table({
    head: columns.map(({ head }) => head),
    colAligns: columns.map(({ align }) => align ?? 'left'),
    chars: PLAIN,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
  });
  for (const row of rows) table.push(columns.map(({ of }) => cellOf(of(row))));
  if (last !== undefined) table.push([...last]);
  const lines = table.toString().split('\n');
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

function cellOf(value: ReturnType<Column<unknown>['of']>): string {
  if (value instanceof Date) return value.toISOString();
  if (value === null || value === undefined || value === '') return '-';
  return oneLine(String(value)).replaceAll(/\s+/g, ' ');
}
