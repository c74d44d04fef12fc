import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type OrderFile, readOrderFile } from '../../src/demo/orders/order-file.js';
import { ShopError } from '../../src/shop-error.js';

const HEADER = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country';
const DATE = '2010-12-01 08:26:00';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shop-orders-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function fileOf(text: string | Buffer): Promise<string> {
  const path = join(folder, 'orders.csv');
  await writeFile(path, text);
  return path;
}

async function read(...lines: string[]): Promise<OrderFile> {
  return readOrderFile(await fileOf([HEADER, ...lines].join('\n')));
}

async function refusalOf(path: string): Promise<string> {
  try {
    await readOrderFile(path);
  } catch (error) {
    if (error instanceof ShopError && error.code === 'DEMO_ORDER_FILE') return error.message;
    throw error;
  }
  return 'it was read';
}

describe('an order file', () => {
  test('becomes invoices, with prices in exact pence', async () => {
    const file = await read(
      `536365,85123a,"HOLDER, ""WHITE""",6,${DATE},2.55,17850.0,United Kingdom`,
      `536366,22633,HAND WARMER,6,${DATE},1.85,,France`,
      `536365,POST,POSTAGE,1,${DATE},18.0,17850.0,United Kingdom`,
      `C536379,22556,CIRCUS TIN,-12,${DATE},0.29,17548.0,`,
    );
    expect(file).toMatchObject({ lineCount: 4, refusedInvoices: [], refusedLines: new Map() });
    expect(file.accepted).toEqual([
      {
        invoiceNo: '536365',
        totalPence: 6 * 255 + 1800,
        lines: [
          {
            invoiceNo: '536365',
            sku: '85123A',
            description: 'HOLDER, "WHITE"',
            quantity: 6,
            unitPricePence: 255,
            placedAt: '2010-12-01T08:26:00.000Z',
            customerId: '17850',
            country: 'United Kingdom',
          },
          expect.objectContaining({ sku: 'POST', quantity: 1, unitPricePence: 1800 }),
        ],
      },
      {
        invoiceNo: '536366',
        totalPence: 6 * 185,
        lines: [expect.objectContaining({ sku: '22633', customerId: null })],
      },
      {
        invoiceNo: 'C536379',
        totalPence: 12 * 29,
        lines: [expect.objectContaining({ quantity: 12, unitPricePence: 29, country: null })],
      },
    ]);
  });

  test.each([
    ['zeroPrice', `1,22139,,56,${DATE},0.0,,UK`],
    ['negativePrice', `1,22139,BOWL,1,${DATE},-11.06,,UK`],
    ['notPositive', `1,22139,BOWL,-4,${DATE},1.25,,UK`],
    ['notPositive', `1,22139,BOWL,0,${DATE},1.25,,UK`],
    ['notNegative', `C1,22139,BOWL,4,${DATE},1.25,,UK`],
    ['adjustment', `1,M,Manual,1,${DATE},1.25,,UK`],
    ['adjustment', `1,BANK CHARGES,Bank Charges,1,${DATE},15.0,,UK`],
    ['adjustment', `C1,D,Discount,-1,${DATE},27.5,,UK`],
    ['malformed', `,22139,BOWL,1,${DATE},1.25,,UK`],
    ['malformed', `1,,BOWL,1,${DATE},1.25,,UK`],
    ['malformed', `1,22139,BOWL,some,${DATE},1.25,,UK`],
    ['malformed', `1,22139,BOWL,1.5,${DATE},1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,000,${DATE},1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,2010-13-01 08:26:00,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,2010-02-31 08:26:00,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,2011-02-29 08:26:00,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,2010-12-01 24:00:00,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,2010-12-01 08:60:00,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,0010-12-01 08:26:00,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,2/31/2010 8:26,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,13/1/2010 8:26,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,0/1/2010 8:26,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,12/1/2010 24:00,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,12/1/2010 8:26 PM,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,12/1/10 8:26,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,12/1/2010,1.25,,UK`],
    ['malformed', `1,22139,BOWL,1e3,${DATE},1.25,,UK`],
    ['malformed', `1,22139,BOWL,"1,000",${DATE},1.25,,UK`],
    ['malformed', `1,22139,BOWL,,${DATE},1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,${DATE},"1,25",,UK`],
    ['malformed', `1,22139,BOWL,1,${DATE},£1.25,,UK`],
    ['malformed', `1,22139,BOWL,1,${DATE},1.25,${'5'.repeat(65)},UK`],
    ['malformed', `1,22139,BOWL,1,${DATE},1.255,,UK`],
    ['malformed', `1,22139,BOWL,1,${DATE},free,,UK`],
    ['malformed', `1,22139,BOWL,1,${DATE}`],
    ['malformed', `1,22139,BOWL,1,${DATE},1.25,,UK,more`],
  ])('refuses a line as %s: %s', async (reason, line) => {
    const file = await read(line, `2,22139,BOWL,1,${DATE},1.250,,UK`);
    expect(file.refusedLines).toEqual(new Map([[reason, 1]]));
    expect(file.accepted.map(({ invoiceNo }) => invoiceNo)).toEqual(['2']);
    expect(file.refusedInvoices).toEqual([line.split(',')[0]].filter((invoiceNo) => invoiceNo !== ''));
  });

  test("refuses lines whose customer is not the invoice's", async () => {
    const file = await read(`1,22139,BOWL,1,${DATE},1.25,5.0,UK`, `1,22140,CUP,1,${DATE},1.25,6.0,UK`);
    expect(file.refusedLines).toEqual(new Map([['otherCustomer', 1]]));
    expect(file.accepted).toMatchObject([{ invoiceNo: '1', lines: [{ sku: '22139' }] }]);
  });

  test.each([
    ['12/1/2010 8:26', '2010-12-01T08:26:00.000Z'],
    ['1/31/2011 18:05', '2011-01-31T18:05:00.000Z'],
    ['02/29/2012 00:00:59', '2012-02-29T00:00:59.000Z'],
    ['2010-12-01 08:26', '2010-12-01T08:26:00.000Z'],
    ['2010-12-01T08:26:00', '2010-12-01T08:26:00.000Z'],
  ])('may have the date %s', async (date, placedAt) => {
    const { accepted } = await read(`1,22139,BOWL,1,${date},1.25,,UK`);
    expect(accepted).toMatchObject([{ lines: [{ placedAt }] }]);
  });

  test.each([
    ['UTF-8', (text: string) => Buffer.from(text)],
    ['UTF-8 with a mark', (text: string) => Buffer.from(`\uFEFF${text}`)],
    ['Latin-1, as that of the data set', (text: string) => Buffer.from(text, 'latin1')],
    ['UTF-16 with a mark', (text: string) => Buffer.from(`\uFEFF${text}`, 'utf16le')],
  ])('may be in %s', async (_name, encode) => {
    const path = await fileOf(encode(`${HEADER}\r\n1,22139,"£ BOWL, CAFÉ",2,${DATE},1.25,,Österreich\r\n`));
    expect((await readOrderFile(path)).accepted).toMatchObject([
      { lines: [{ description: '£ BOWL, CAFÉ', country: 'Österreich' }] },
    ]);
  });

  test.each(['\n', '\r\n', '\r'])('may end its lines with %j, and its header differently', async (end) => {
    const lines = [1, 2, 3].map((n) => `${n},22139,"BOWL ""A""",2,${DATE},1.25,,UK`);
    const path = await fileOf(`${HEADER}\r\n${lines.join(end)}${end}`);
    expect(await readOrderFile(path)).toMatchObject({ lineCount: 3, accepted: [{}, {}, {}] });
  });

  test('may spell its columns differently', async () => {
    const header = 'invoiceno,stock_code,DESCRIPTION,quantity,Invoice Date,unitprice,Customer ID,country';
    const { accepted } = await readOrderFile(await fileOf(`${header}\n1,22139,BOWL,2,${DATE},1.25,5,UK\n`));
    expect(accepted).toMatchObject([{ totalPence: 250, lines: [{ customerId: '5', country: 'UK' }] }]);
  });

  test('may have a field of two lines', async () => {
    const { accepted, lineCount } = await read(`1,22139,"BOWL\nBLUE",2,${DATE},1.25,,UK`);
    expect({ accepted, lineCount }).toMatchObject({ lineCount: 1, accepted: [{ totalPence: 250 }] });
  });

  test('may begin with a byte order mark and have its columns in any order, and extra ones', async () => {
    const header = 'Country,Colour,CustomerID,UnitPrice,InvoiceDate,Quantity,Description,StockCode,InvoiceNo';
    const path = await fileOf(`\uFEFF${header}\r\nUK,red,,1.25,${DATE},2,BOWL,22139,1\r\n\r\n`);
    expect((await readOrderFile(path)).accepted).toMatchObject([{ invoiceNo: '1', totalPence: 250 }]);
  });
});

describe('a file that is not an order file', () => {
  test('is refused with every missing column', async () => {
    const message = await refusalOf(await fileOf('InvoiceNo,Quantity,Country,Country\n1,2,UK,UK\n'));
    for (const column of ['StockCode', 'Description', 'InvoiceDate', 'UnitPrice', 'CustomerID']) {
      expect(message).toContain(`column ${column} is missing`);
    }
    expect(message).toContain('column Country appears twice');
    expect(message).not.toContain('column Quantity');
  });

  test.each([
    ['', 'it is empty'],
    [`${HEADER}\n`, 'it has no lines after its header'],
    [`${HEADER}\n1,"22139,BOWL`, 'it is not CSV'],
    [`\x7fELF"\0\0\x01\n"`, 'it is not CSV'],
  ])('is refused in one short line (%#)', async (text, reason) => {
    const message = await refusalOf(await fileOf(text));
    expect(message).toContain(reason);
    expect(message.length).toBeLessThan(400);
  });

  test('is refused when none of its lines can be ordered, with what is wrong with them', async () => {
    const lines = [`1,22139,BOWL,1,31/02/2010 8:26,1.25,,UK`, `2,22139,BOWL,0,${DATE},1.25,,UK`, '3,4'];
    const message = await refusalOf(await fileOf([HEADER, ...lines].join('\n')));
    expect(message).toContain('none of its 3 lines can be ordered');
    expect(message).toContain(
      '2 refused: a field is missing or cannot be read; first line 2, InvoiceDate "31/02/2010 8:26"',
    );
    expect(message).toMatch(/1 refused: a sale of no pieces.*; first line 3$/m);
  });

  test('is refused when its dates start with the day, which would be read as the month', async () => {
    const lines = ['1/12/2010 8:26', '13/12/2010 8:26'].map((date) => `1,22139,BOWL,1,${date},1.25,,UK`);
    const path = await fileOf([HEADER, ...lines].join('\n'));
    expect(await refusalOf(path)).toContain('its dates begin with the day, as that of line 3');
  });

  test('is refused when an open quote swallows lines', async () => {
    const line = `1,22139,BOWL,1,${DATE},1.25,,UK`;
    const path = await fileOf([HEADER, line, `2,22139,"BOWL,1`, line, `3,22139,BOWL",1`, line].join('\n'));
    expect(await refusalOf(path)).toContain('a quote that opens in line 3 swallows the lines after it');
  });

  test.each([
    [';', 'semicolons'],
    ['\t', 'tabs'],
  ])('is refused when its columns are separated by %j', async (delimiter, name) => {
    const path = await fileOf(`${HEADER.replaceAll(',', delimiter)}\n`);
    expect(await refusalOf(path)).toContain(`its columns are separated by ${name} instead of commas`);
  });

  test('is refused when it does not exist, or is a folder', async () => {
    expect(await refusalOf(join(folder, 'none.csv'))).toContain('ENOENT');
    expect(await refusalOf(folder)).toContain('EISDIR');
  });
});
