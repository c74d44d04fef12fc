import { createReadStream } from 'node:fs';
import { CsvError, parse } from 'csv-parse';
import { ShopError } from '../shop-error.js';
import {
  COLUMNS,
  invoiceNumber,
  type OrderLine,
  type RawLine,
  readOrderLine,
  type Refusal,
} from './order-line.js';

/** The lines of one invoice that can be ordered or returned. */
export interface FileInvoice {
  readonly invoiceNo: string;
  readonly lines: readonly OrderLine[];
  readonly totalPence: number;
}

/** Bytes of the longest line: a quote that is never closed must not swallow a whole file. */
const RECORD_MAX = 100_000;

/** What an order file holds. Every line is either in an invoice of `accepted` or counted in `refusedLines`. */
export interface OrderFile {
  /** Lines under the header. */
  readonly lineCount: number;
  /** Invoices with at least one line that can be ordered, in the order of the file. */
  readonly accepted: readonly FileInvoice[];
  /** Numbers of the invoices that have no such line. */
  readonly refusedInvoices: readonly string[];
  readonly refusedLines: ReadonlyMap<Refusal, number>;
}

/**
 * Reads an order file.
 * @throws ShopError DEMO_ORDER_FILE when it cannot be read, is no CSV, lacks columns or has no line.
 */
export async function readOrderFile(path: string): Promise<OrderFile> {
  // A line with too few or too many fields is refused like any other that cannot be read, and does not end the file.
  const parser = parse({
    bom: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: RECORD_MAX,
  });
  const input = createReadStream(path);
  input.once('error', (error) => parser.destroy(error));
  let collector: InvoiceCollector | undefined;
  try {
    for await (const fields of input.pipe(parser) as AsyncIterable<string[]>) {
      if (collector === undefined) collector = new InvoiceCollector(checkedHeader(path, fields));
      else collector.add(fields);
    }
  } catch (error) {
    if (error instanceof ShopError) throw error;
    throw fileError(path, [describe(error)], error);
  } finally {
    input.destroy();
  }
  if (collector === undefined) throw fileError(path, ['it is empty']);
  if (collector.lineCount === 0) throw fileError(path, ['it has no lines under its header']);
  return collector.finish();
}

/** Gathers lines by invoice: an invoice's lines need not stand together. */
class InvoiceCollector {
  lineCount = 0;
  private readonly invoices = new Map<string, OrderLine[]>();
  private readonly refused = new Map<Refusal, number>();

  constructor(private readonly header: readonly string[]) {}

  add(fields: readonly string[]): void {
    this.lineCount++;
    const raw = Object.fromEntries(
      COLUMNS.map((column) => [column, fields[this.header.indexOf(column)] ?? '']),
    ) as RawLine;
    const invoiceNo = invoiceNumber(raw);
    const lines = invoiceNo === undefined ? undefined : (this.invoices.get(invoiceNo) ?? []);
    if (invoiceNo !== undefined && lines !== undefined) this.invoices.set(invoiceNo, lines);
    const line = fields.length === this.header.length ? readOrderLine(raw) : 'malformed';
    const first = lines?.[0];
    if (typeof line === 'string') this.refuse(line);
    else if (first !== undefined && first.customerId !== line.customerId) this.refuse('otherCustomer');
    else lines?.push(line);
  }

  finish(): OrderFile {
    const entries = [...this.invoices];
    return {
      lineCount: this.lineCount,
      accepted: entries
        .filter(([, lines]) => lines.length > 0)
        .map(([invoiceNo, lines]) => ({ invoiceNo, lines, totalPence: totalPence(lines) })),
      refusedInvoices: entries.filter(([, lines]) => lines.length === 0).map(([invoiceNo]) => invoiceNo),
      refusedLines: this.refused,
    };
  }

  private refuse(reason: Refusal): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1);
  }
}

function totalPence(lines: readonly OrderLine[]): number {
  return lines.reduce((sum, line) => sum + line.quantity * line.unitPricePence, 0);
}

function checkedHeader(path: string, fields: readonly string[]): string[] {
  const names = fields.map((name) => name.trim());
  const missing = COLUMNS.filter((column) => !names.includes(column));
  const twice = COLUMNS.filter((column) => names.indexOf(column) !== names.lastIndexOf(column));
  if (missing.length === 0 && twice.length === 0) return names;
  throw fileError(path, [
    ...missing.map((column) => `column ${column} is missing`),
    ...twice.map((column) => `column ${column} stands twice`),
    `its first line reads ${names
      .map((name) => name.slice(0, 40))
      .join(', ')
      .slice(0, 400)}`,
  ]);
}

function fileError(path: string, problems: readonly string[], cause?: unknown): ShopError {
  return new ShopError(
    'DEMO_ORDER_FILE',
    `The order file ${path} cannot be used. Correct it:`,
    problems,
    cause,
  );
}

/** One short line: the parser quotes the file, whatever stands in it. */
function describe(error: unknown): string {
  const message = (error instanceof Error ? error.message : String(error))
    .replaceAll(/[^ -~]+/g, ' ')
    .slice(0, 160);
  return error instanceof CsvError ? `it is not CSV: ${message}` : message;
}
