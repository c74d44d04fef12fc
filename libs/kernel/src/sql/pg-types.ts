import pg from 'pg';

const INT8 = 20;

/**
 * How the values of our own connections are read: int8 as a number. Offsets and positions stay below 2^53 for
 * as long as anyone will run this; a larger one throws rather than lose its last digits.
 */
export const pgTypes: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === INT8 && format !== 'binary') return readInt8;
    return pg.types.getTypeParser(oid, format as 'text');
  }) as pg.CustomTypesConfig['getTypeParser'],
};

function readInt8(value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`the int8 ${value} is beyond 2^53`);
  return number;
}
