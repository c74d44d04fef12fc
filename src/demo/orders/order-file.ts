import { createReadStream } from 'node:fs';
import { CsvError, parse } from 'csv-parse';
import { ShopError } from '../../shop-error.js';
import {
  COLUMNS,
  dayPlace,
  invoiceNumber,
  type OrderLine,
  type RawLine,
  readOrderLine,
  type Refusal,
  REFUSALS,
  unreadableColumns,
} from './order-line.js';

/** An invoice's lines that can be ordered or returned. */
export interface FileInvoice {
  readonly invoiceNo: string;
  readonly lines: readonly OrderLine[];
  readonly totalPence: number;
}

/** Maximum length of a line, in bytes: a quote that is never closed must not swallow a whole file. */
const RECORD_MAX = 100_000;

const OTHER_DELIMITERS = [
  [';', 'semicolons'],
  ['\t', 'tabs'],
  ['|', 'bars'],
] as const;

/** The content of an order file. Every line is either in an invoice of `accepted` or counted in `refusedLines`. */
export interface OrderFile {
  /** Number of lines after the header. */
  readonly lineCount: number;
  /** Invoices with at least one line that can be ordered, in the order of the file. */
  readonly accepted: readonly FileInvoice[];
  /** Numbers of the invoices that have no such line. */
  readonly refusedInvoices: readonly string[];
  readonly refusedLines: ReadonlyMap<Refusal, number>;
}

/** A record of the file, and the number of the line in which it ends. */
interface FileRecord {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

/**
 * Reads an order file.
 * @throws ShopError DEMO_ORDER_FILE when it cannot be read, is not CSV, lacks columns, has no line that can be ordered,
 *   or is not what its name suggests: dates that begin with the day, a quote that swallows lines.
 */
export async function readOrderFile(path: string): Promise<OrderFile> {
  let collector: InvoiceCollector | undefined;
  try {
    for await (const { record, info } of recordsOf(path, await encodingOf(path))) {
      if (collector === undefined) collector = new InvoiceCollector(path, checkedHeader(path, record));
      else collector.add(record, info.lines);
    }
  } catch (error) {
    if (error instanceof ShopError) throw error;
    throw fileError(path, [describe(error)], error);
  }
  if (collector === undefined) throw fileError(path, ['it is empty']);
  if (collector.lineCount === 0) throw fileError(path, ['it has no lines after its header']);
  return collector.finish();
}

async function* recordsOf(path: string, encoding: BufferEncoding): AsyncGenerator<FileRecord> {
  // A line with too few or too many fields is refused like any other unreadable line, and does not end the file.
  const parser = parse({
    bom: true,
    encoding,
    info: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: RECORD_MAX,
  });
  const input = createReadStream(path);
  input.once('error', (error) => parser.destroy(error));
  try {
    yield* input.pipe(parser) as AsyncIterable<FileRecord>;
  } finally {
    input.destroy();
  }
}

/** The data set's file is in Latin-1; spreadsheets export UTF-8, or UTF-16 with a byte-order mark. */
async function encodingOf(path: string): Promise<BufferEncoding> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let isFirst = true;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    if (isFirst && chunk[0] === 0xff && chunk[1] === 0xfe) return 'utf16le';
    isFirst = false;
    try {
      decoder.decode(chunk, { stream: true });
    } catch {
      return 'latin1';
    }
  }
  return 'utf8';
}

/** Groups lines by invoice: an invoice's lines need not be adjacent. */
class InvoiceCollector {
  lineCount = 0;
  private readonly invoices = new Map<string, OrderLine[]>();
  private readonly refused = new Map<Refusal, number>();
  /** The first refused line of each reason. */
  private readonly examples = new Map<Refusal, string>();
  private readonly dayPlaces = new Map<string | undefined, number>();

  constructor(
    private readonly path: string,
    private readonly header: readonly string[],
  ) {}

  /** @param endsIn number of the record's last line in the file */
  add(fields: readonly string[], endsIn: number): void {
    this.lineCount++;
    const raw = Object.fromEntries(
      COLUMNS.map((column) => [column, fields[this.header.indexOf(column)] ?? '']),
    ) as RawLine;
    const isWhole = fields.length === this.header.length;
    const breaks = fields.join('').match(/\r\n|\n|\r/g)?.length ?? 0;
    const startsIn = endsIn - breaks;
    if (!isWhole && breaks > 0)
      throw fileError(this.path, [`a quote that opens in line ${startsIn} swallows the lines after it`]);
    const place = dayPlace(raw);
    if (!this.dayPlaces.has(place)) this.dayPlaces.set(place, startsIn);
    const invoiceNo = invoiceNumber(raw);
    const lines = invoiceNo === undefined ? undefined : (this.invoices.get(invoiceNo) ?? []);
    if (invoiceNo !== undefined && lines !== undefined) this.invoices.set(invoiceNo, lines);
    const line = isWhole ? readOrderLine(raw) : 'malformed';
    const first = lines?.[0];
    const refusal =
      typeof line !== 'string' && first !== undefined && first.customerId !== line.customerId
        ? 'otherCustomer'
        : line;
    if (typeof refusal !== 'string') lines?.push(refusal);
    else this.refuse(refusal, `line ${startsIn}${isWhole ? unreadable(raw) : this.otherCount(fields)}`);
  }

  finish(): OrderFile {
    const dayFirst = this.dayPlaces.get('first');
    const either = this.dayPlaces.get('unknown');
    if (dayFirst !== undefined && either !== undefined && !this.dayPlaces.has('second')) {
      throw fileError(this.path, [
        `its dates begin with the day, as that of line ${dayFirst}, and would be read as month/day/year`,
      ]);
    }
    const entries = [...this.invoices];
    const accepted = entries.filter(([, lines]) => lines.length > 0);
    if (accepted.length === 0) {
      const reasons = [...this.refused].map(
        ([reason, count]) => `${count} refused: ${REFUSALS[reason]}; first ${this.examples.get(reason)}`,
      );
      throw fileError(this.path, [`none of its ${this.lineCount} lines can be ordered`, ...reasons]);
    }
    return {
      lineCount: this.lineCount,
      accepted: accepted.map(([invoiceNo, lines]) => ({ invoiceNo, lines, totalPence: totalPence(lines) })),
      refusedInvoices: entries.filter(([, lines]) => lines.length === 0).map(([invoiceNo]) => invoiceNo),
      refusedLines: this.refused,
    };
  }

  private refuse(reason: Refusal, example: string): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1);
    if (!this.examples.has(reason)) this.examples.set(reason, example);
  }

  private otherCount(fields: readonly string[]): string {
    return `, with ${fields.length} fields for ${this.header.length} columns`;
  }
}

function unreadable(raw: RawLine): string {
  const columns = unreadableColumns(raw).map(
    (column) => `, ${column} ${JSON.stringify(raw[column].slice(0, 30))}`,
  );
  return columns.join('');
}

function totalPence(lines: readonly OrderLine[]): number {
  return lines.reduce((sum, line) => sum + line.quantity * line.unitPricePence, 0);
}

/** The names of the columns; known ones in the canonical spelling. */
function checkedHeader(path: string, fields: readonly string[]): string[] {
  const names = fields.map(
    (name) => COLUMNS.find((column) => spelling(column) === spelling(name)) ?? name.trim(),
  );
  const missing = COLUMNS.filter((column) => !names.includes(column));
  const twice = COLUMNS.filter((column) => names.indexOf(column) !== names.lastIndexOf(column));
  if (missing.length === 0 && twice.length === 0) return names;
  const other = OTHER_DELIMITERS.find(([delimiter]) => names.some((name) => name.includes(delimiter)));
  throw fileError(path, [
    ...missing.map((column) => `column ${column} is missing`),
    ...twice.map((column) => `column ${column} appears twice`),
    ...(other === undefined ? [] : [`its columns are separated by ${other[1]} instead of commas`]),
    `its first line reads ${names
      .map((name) => name.slice(0, 40))
      .join(', ')
      .slice(0, 400)}`,
  ]);
}

/** CustomerID, customerid, Customer ID and customer_id are one column. */
function spelling(name: string): string {
  return name.replaceAll(/[\s_]/g, '').toLowerCase();
}

function fileError(path: string, problems: readonly string[], cause?: unknown): ShopError {
  return new ShopError(
    'DEMO_ORDER_FILE',
    `The order file ${path} cannot be used. Correct it:`,
    problems,
    cause,
  );
}

/** One short line: the parser quotes the file, whatever it contains. */
function describe(error: unknown): string {
  const message = (error instanceof Error ? error.message : String(error))
    .replaceAll(/[^ -~]+/g, ' ')
    .slice(0, 160);
  return error instanceof CsvError ? `it is not CSV: ${message}` : message;
}
