import { describe, expect, test } from '@jest/globals';
import { BadRequestException } from '@nestjs/common';
import { type InvoiceKind, parseInvoiceRequest } from '../../src/orders/order-request.js';

const LINE = { sku: '85123a', description: 'HOLDER', quantity: 6, unitPricePence: 255 };

function problemsOf(body: unknown, kind: InvoiceKind = 'order'): string[] {
  try {
    parseInvoiceRequest(body, kind);
  } catch (error) {
    if (error instanceof BadRequestException) return (error.getResponse() as { problems: string[] }).problems;
    throw error;
  }
  return [];
}

describe('a request for an order', () => {
  test('is read whole, and adds up in pence', () => {
    const placedAt = '2010-12-01T08:26:00Z';
    const body = { invoiceNo: '536365', customerId: '17850', country: 'EIRE', placedAt, lines: [LINE, LINE] };
    expect(parseInvoiceRequest(body, 'order')).toEqual({
      invoiceNo: '536365',
      customerId: '17850',
      country: 'EIRE',
      placedAt: '2010-12-01T08:26:00.000Z',
      lines: [
        { ...LINE, sku: '85123A' },
        { ...LINE, sku: '85123A' },
      ],
      totalPence: 3060,
    });
  });

  test('needs no customer: a guest', () => {
    const parsed = parseInvoiceRequest({ invoiceNo: '1', lines: [{ ...LINE, description: null }] }, 'order');
    expect(parsed).toMatchObject({ customerId: null, country: null, placedAt: null });
  });

  test('that is wrong in many ways gets all errors at once', () => {
    const line = { sku: '', quantity: 1.5, unitPricePence: '255', colour: 'red' };
    const body = { invoiceNo: 'C1', customerId: '', placedAt: 'yesterday', lines: [line], price: 3 };
    expect(problemsOf(body)).toEqual([
      expect.stringContaining("body has an unknown field 'price'"),
      "invoiceNo 'C1' must not start with C",
      expect.stringContaining("lines[0] has an unknown field 'colour'"),
      expect.stringContaining('lines[0].sku must be'),
      expect.stringContaining('lines[0].quantity must be a whole number'),
      expect.stringContaining('lines[0].unitPricePence must be a whole number'),
      expect.stringContaining('customerId must be'),
      expect.stringContaining('placedAt must be'),
    ]);
  });

  test.each([
    ['no body', undefined],
    ['a list', []],
    ['no lines', { invoiceNo: '1', lines: [] }],
    ['too many lines', { invoiceNo: '1', lines: Array(2_001).fill(LINE) }],
    ['no pieces', { invoiceNo: '1', lines: [{ ...LINE, quantity: 0 }] }],
    ['a price of nothing', { invoiceNo: '1', lines: [{ ...LINE, unitPricePence: 0 }] }],
    ['a price in pounds', { invoiceNo: '1', lines: [{ ...LINE, unitPricePence: 2.55 }] }],
    [
      'a sum beyond reason',
      { invoiceNo: '1', lines: Array(99).fill({ ...LINE, quantity: 1e6, unitPricePence: 1e8 }) },
    ],
    ['a day that does not exist', { invoiceNo: '1', placedAt: '2010-02-31T08:26:00Z', lines: [LINE] }],
    ['a NUL in a text', { invoiceNo: '1', country: 'a\0b', lines: [LINE] }],
  ])('with %s is refused', (_name, body) => {
    expect(problemsOf(body).length).toBeGreaterThan(0);
  });

  test('with two thousand bad lines gets a short response', () => {
    const problems = problemsOf({ invoiceNo: '1', lines: Array(2_000).fill({}) });
    expect(problems).toHaveLength(51);
    expect(problems.at(-1)).toBe('and 5950 more');
  });

  test('for a return has a number that starts with C', () => {
    expect(problemsOf({ invoiceNo: '536365', lines: [LINE] }, 'return')).toEqual([
      "invoiceNo '536365' must start with C",
    ]);
    expect(problemsOf({ invoiceNo: 'C536379', lines: [LINE] }, 'return')).toEqual([]);
  });
});
