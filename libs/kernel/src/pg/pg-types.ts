import pg from 'pg';

const INT8 = 20;
const INT8_ARRAY = 1016;

/**
 * Parses values on our own connections: int8 as a number. Offsets and positions stay below 2^53 for
 * any realistic operating time; a larger one throws rather than lose its last digits.
 */
export const pgTypes: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === INT8 && format !== 'binary') return readInt8;
    if (oid === INT8_ARRAY && format !== 'binary') return readInt8Array;
    return pg.types.getTypeParser(oid, format as 'text');
  }) as pg.CustomTypesConfig['getTypeParser'],
};

function readInt8(value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`the int8 ${value} is beyond 2^53`);
  return number;
}

const readTextArray = pg.types.getTypeParser(INT8_ARRAY as never, 'text') as (value: string) => string[];

function readInt8Array(value: string): number[] {
  return readTextArray(value).map(readInt8);
}
