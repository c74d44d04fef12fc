import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { restoreHeaders, storeHeaders } from '../src/stored-record.js';

test('headers are restored from their row byte for byte, in their order, including duplicates', () => {
  const value = fc.option(
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    { nil: null },
  );
  const header = fc.record({ key: fc.string({ unit: 'grapheme' }), value });
  fc.assert(
    fc.property(fc.array(header), (headers) => {
      const stored = storeHeaders(headers);
      expect(stored).not.toContain('\\u0000"');
      expect(restoreHeaders(stored)).toEqual(headers);
    }),
  );
});
