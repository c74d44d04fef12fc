import Table from 'cli-table3';
import { oneLine } from '@waybill/kernel/internal';
import type { Command } from 'commander';
import type { Output } from './output.js';

/** A column of a list. */
export interface Column<Row> {
  readonly head: string;
  readonly of: (row: Row) => string | number | Date | null | undefined;
  /** Figures stand on the right. Default: on the left. */
  readonly align?: 'right';
}

/** What every command that lists something is given. */
export interface ListOptions {
  readonly json?: true;
}

/** No borders: a line a row, so that `grep` and `cut` work on it. */
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

/** Gives a command that lists something the option for programs. */
export function listing(command: Command): Command {
  return command.option('--json', 'for programs: the list as JSON');
}

/**
 * Writes a list: for people as a table, nothing when it is empty; for programs as one JSON array, `[]` when it is empty.
 * @param last a row below the others, such as their sums; not for programs
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
