import { utcTime } from '../../calendar.js';

/** Why a line of the file is not ordered. The demo's report shows these texts. */
export const REFUSALS = {
  malformed: 'a field is missing or cannot be read',
  zeroPrice: 'costs nothing (given away, or a correction of stock)',
  negativePrice: 'costs less than nothing',
  notPositive: 'a sale of no pieces, or of fewer than none (a correction of stock)',
  notNegative: 'a cancellation that gives nothing back',
  adjustment: 'neither an article nor a service (discount, manual entry, bank charges)',
  otherCustomer: "a different customer than on the invoice's first line",
} as const;

export type Refusal = keyof typeof REFUSALS;

/** Columns that an order file must have, in any order. Others are ignored. */
export const COLUMNS = [
  'InvoiceNo',
  'StockCode',
  'Description',
  'Quantity',
  'InvoiceDate',
  'UnitPrice',
  'CustomerID',
  'Country',
] as const;

/** A line of the file by the names of its columns. */
export type RawLine = Readonly<Record<(typeof COLUMNS)[number], string>>;

/** A line that can be ordered or returned; quantities of returns are positive here. */
export interface OrderLine {
  readonly invoiceNo: string;
  readonly sku: string;
  readonly description: string | null;
  readonly quantity: number;
  readonly unitPricePence: number;
  readonly placedAt: string;
  /** Null for a guest. */
  readonly customerId: string | null;
  readonly country: string | null;
}

const INVOICE_NO = /^[A-Z0-9-]{1,32}$/;
const STOCK_CODE = /^[A-Z0-9 _-]{1,32}$/;
const QUANTITY = /^-?\d{1,6}$/;
const PRICE = /^(-?)(\d{1,6})(?:\.(\d{1,2})0*)?$/;
const TIME = /(\d{1,2}):(\d{2})(?::(\d{2}))?$/.source;
/** 2010-12-01 08:26:00 */
const YEAR_FIRST = new RegExp(`^(\\d{4})-(\\d{2})-(\\d{2})[ T]${TIME}`);
/** 12/1/2010 8:26, as in the data set's file: the month comes first. */
const MONTH_FIRST = new RegExp(`^(\\d{1,2})/(\\d{1,2})/(\\d{4}) ${TIME}`);
const DESCRIPTION_MAX = 500;
const CUSTOMER_MAX = 64;

/**
 * Entries that book-keepers write instead of a stock code: discount, manual, bad debt, samples, charity, charges, fees.
 */
const ADJUSTMENT_CODES: ReadonlySet<string> = new Set([
  'D',
  'M',
  'B',
  'S',
  'CRUK',
  'BANK CHARGES',
  'AMAZONFEE',
  'ADJUST',
  'ADJUST2',
]);

/** Whether the invoice is a cancellation: goods returned, money paid back. */
export function isReturn(invoiceNo: string): boolean {
  return invoiceNo.startsWith('C');
}

function stockCode(raw: RawLine): string {
  return raw.StockCode.trim().toUpperCase();
}

/** The number of the line's invoice in the form that the shop uses; undefined when it has none. */
export function invoiceNumber(raw: RawLine): string | undefined {
  const invoiceNo = raw.InvoiceNo.trim().toUpperCase();
  return INVOICE_NO.test(invoiceNo) ? invoiceNo : undefined;
}

/** The columns of a line that are missing or cannot be read. */
export function unreadableColumns(raw: RawLine): (keyof RawLine)[] {
  const columns: Partial<Record<keyof RawLine, boolean>> = {
    InvoiceNo: invoiceNumber(raw) !== undefined,
    StockCode: STOCK_CODE.test(stockCode(raw)),
    Quantity: QUANTITY.test(raw.Quantity.trim()),
    InvoiceDate: parseDate(raw.InvoiceDate.trim()) !== undefined,
    UnitPrice: parsePence(raw.UnitPrice.trim()) !== undefined,
    CustomerID: raw.CustomerID.trim().length <= CUSTOMER_MAX,
  };
  return COLUMNS.filter((column) => columns[column] === false);
}

/** The line as it will be ordered, or why it will not be. The first reason that applies counts. */
export function readOrderLine(raw: RawLine): OrderLine | Refusal {
  const invoiceNo = invoiceNumber(raw);
  const sku = stockCode(raw);
  const pence = parsePence(raw.UnitPrice.trim());
  const placedAt = parseDate(raw.InvoiceDate.trim());
  const pieces = Number(raw.Quantity);
  if (
    invoiceNo === undefined ||
    pence === undefined ||
    placedAt === undefined ||
    unreadableColumns(raw).length > 0
  )
    return 'malformed';
  if (ADJUSTMENT_CODES.has(sku)) return 'adjustment';
  if (pence === 0) return 'zeroPrice';
  if (pence < 0) return 'negativePrice';
  if (isReturn(invoiceNo) ? pieces >= 0 : pieces <= 0)
    return isReturn(invoiceNo) ? 'notNegative' : 'notPositive';
  return {
    invoiceNo,
    sku,
    description: textOrNull(raw.Description, DESCRIPTION_MAX),
    quantity: Math.abs(pieces),
    unitPricePence: pence,
    placedAt,
    // The data set writes customers as floating-point numbers.
    customerId: textOrNull(raw.CustomerID.trim().replace(/\.0$/, ''), CUSTOMER_MAX),
    country: textOrNull(raw.Country, 100),
  };
}

/** Pence of a price in pounds, by its digits: 2.55 as a floating-point number times 100 is not 255. */
function parsePence(text: string): number | undefined {
  const match = PRICE.exec(text);
  if (match === null) return undefined;
  const [, sign, pounds, fraction = ''] = match;
  const pence = Number(pounds) * 100 + Number(fraction.padEnd(2, '0'));
  return sign === '-' ? -pence : pence;
}

function parseDate(text: string): string | undefined {
  const yearFirst = YEAR_FIRST.exec(text);
  const [, month, day, year, ...time] = MONTH_FIRST.exec(text) ?? [];
  const parts = yearFirst === null ? [year, month, day, ...time] : yearFirst.slice(1);
  return utcTime(parts.map((part = '0') => Number(part)))?.toISOString();
}

/**
 * Whether a date with slashes has the day or the month first: the 13 of 13/1/2010 is a day, and so is that of
 * 1/13/2010.
 */
export function dayPlace(raw: RawLine): 'first' | 'second' | 'unknown' | undefined {
  const match = MONTH_FIRST.exec(raw.InvoiceDate.trim());
  if (match === null) return undefined;
  const [, first, second] = match.map(Number) as [number, number, number];
  if (first > 12 && second <= 12) return 'first';
  return second > 12 ? 'second' : 'unknown';
}

function textOrNull(text: string, max: number): string | null {
  const trimmed = text.replaceAll('\0', '').trim().slice(0, max);
  return trimmed === '' ? null : trimmed;
}
