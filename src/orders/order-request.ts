import { BadRequestException } from '@nestjs/common';
import { utcTime } from '../calendar.js';

const INVOICE_NO = /^[A-Za-z0-9-]{1,32}$/;
const SKU = /^[A-Za-z0-9 _-]{1,32}$/;
const REFERENCE = /^[A-Za-z0-9 _-]{1,64}$/;
const LINES_MAX = 2_000;
const QUANTITY_MAX = 1_000_000;
const UNIT_PRICE_MAX = 100_000_000;
const TOTAL_MAX = 1_000_000_000_000;
/** Enough to see the problem; the response to a body of 2,000 bad lines must not be a page for each. */
const PROBLEMS_MAX = 50;

/** One line of a request. */
export interface RequestedLine {
  readonly sku: string;
  readonly description: string | null;
  readonly quantity: number;
  readonly unitPricePence: number;
}

/** A validated request for an order or a return. */
export interface InvoiceRequest {
  readonly invoiceNo: string;
  readonly customerId: string | null;
  readonly country: string | null;
  /** When the customer ordered; null when the request omits it. */
  readonly placedAt: string | null;
  readonly lines: readonly RequestedLine[];
  readonly totalPence: number;
}

/** Which invoice numbers are meant: those of returns start with a C. */
export type InvoiceKind = 'order' | 'return';

/**
 * Checks the body of a request.
 * @throws BadRequestException (400) with all `problems`.
 */
export function parseInvoiceRequest(body: unknown, kind: InvoiceKind): InvoiceRequest {
  const reader = new BodyReader();
  const fields = reader.object(body, 'body', ['invoiceNo', 'customerId', 'country', 'placedAt', 'lines']);
  const invoiceNo = reader.text(fields['invoiceNo'], 'invoiceNo', INVOICE_NO) ?? '';
  if (invoiceNo !== '' && invoiceNo.startsWith('C') !== (kind === 'return')) {
    reader.problem(`invoiceNo '${invoiceNo}' ${kind === 'return' ? 'must' : 'must not'} start with C`);
  }
  const lines = reader.lines(fields['lines']);
  const totalPence = lines.reduce((sum, line) => sum + line.quantity * line.unitPricePence, 0);
  if (totalPence > TOTAL_MAX) reader.problem(`the total of ${totalPence} pence is over ${TOTAL_MAX}`);
  const request = {
    invoiceNo,
    customerId: reader.optionalText(fields['customerId'], 'customerId', 64),
    country: reader.optionalText(fields['country'], 'country', 100),
    placedAt: reader.date(fields['placedAt'], 'placedAt'),
    lines,
    totalPence,
  };
  reader.finish();
  return request;
}

/**
 * Checks the body of the bank's notice that a transfer has arrived.
 * @returns the bank's reference
 * @throws BadRequestException (400) with all `problems`.
 */
export function parseTransferRequest(body: unknown): string {
  const reader = new BodyReader();
  const fields = reader.object(body, 'body', ['reference']);
  const reference = reader.text(fields['reference'], 'reference', REFERENCE) ?? '';
  reader.finish();
  return reference;
}

/** Reads the parts of a body and collects all problems. */
class BodyReader {
  private readonly problems: string[] = [];

  problem(text: string): void {
    this.problems.push(text);
  }

  object(value: unknown, name: string, known: readonly string[]): Record<string, unknown> {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.problem(`${name} must be an object`);
      return {};
    }
    for (const key of Object.keys(value)) {
      if (!known.includes(key))
        this.problem(`${name} has an unknown field '${key}', known: ${known.join(', ')}`);
    }
    return value as Record<string, unknown>;
  }

  text(value: unknown, name: string, pattern: RegExp): string | undefined {
    if (typeof value === 'string' && pattern.test(value)) return value;
    this.problem(`${name} must be a string that matches ${pattern.source}`);
    return undefined;
  }

  optionalText(value: unknown, name: string, max: number): string | null {
    if (value === undefined || value === null) return null;
    if (typeof value === 'string' && value !== '' && value.length <= max && !value.includes('\0'))
      return value;
    this.problem(`${name} must be a string of 1 to ${max} characters, or omitted`);
    return null;
  }

  date(value: unknown, name: string): string | null {
    if (value === undefined || value === null) return null;
    const [, year, month, day] = (typeof value === 'string' && /^(\d{4})-(\d{2})-(\d{2})T/.exec(value)) || [];
    const isDay = utcTime([Number(year), Number(month), Number(day)]) !== undefined;
    const time = isDay ? Date.parse(value as string) : Number.NaN;
    if (!Number.isNaN(time)) return new Date(time).toISOString();
    this.problem(`${name} must be an ISO 8601 date and time, or omitted`);
    return null;
  }

  wholeNumber(value: unknown, name: string, max: number): number {
    if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= max)
      return value as number;
    this.problem(`${name} must be a whole number from 1 to ${max}`);
    return 0;
  }

  lines(value: unknown): RequestedLine[] {
    if (!Array.isArray(value) || value.length === 0 || value.length > LINES_MAX) {
      this.problem(`lines must be an array of 1 to ${LINES_MAX} lines`);
      return [];
    }
    return value.map((entry: unknown, index) => {
      const name = `lines[${index}]`;
      const line = this.object(entry, name, ['sku', 'description', 'quantity', 'unitPricePence']);
      return {
        sku: (this.text(line['sku'], `${name}.sku`, SKU) ?? '').toUpperCase(),
        description: this.optionalText(line['description'], `${name}.description`, 500),
        quantity: this.wholeNumber(line['quantity'], `${name}.quantity`, QUANTITY_MAX),
        unitPricePence: this.wholeNumber(line['unitPricePence'], `${name}.unitPricePence`, UNIT_PRICE_MAX),
      };
    });
  }

  finish(): void {
    if (this.problems.length === 0) return;
    const left = this.problems.length - PROBLEMS_MAX;
    throw new BadRequestException({
      statusCode: 400,
      code: 'INVALID_REQUEST',
      message: 'The request is invalid. Correct the listed problems and send it again.',
      problems: left > 0 ? [...this.problems.slice(0, PROBLEMS_MAX), `and ${left} more`] : this.problems,
    });
  }
}
