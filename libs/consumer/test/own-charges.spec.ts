import { describe, expect, test } from '@jest/globals';
import { OwnCharges } from '../src/retry/own-charges.js';

describe("a process's own charges", () => {
  test('are written once, also when the response to the write was lost and it was committed', () => {
    const charges = new OwnCharges();
    expect(charges.missing(7, 1, 1)).toBe(1);
    expect(charges.has(7)).toBe(true);
    // The lane was reopened, and finds the charge.
    expect(charges.missing(7, 2, 1)).toBe(0);
    expect(charges.missing(7, 2, 1)).toBe(0);
  });

  test('are written again when the write was lost before it was committed', () => {
    const charges = new OwnCharges();
    expect(charges.missing(7, 1, 1)).toBe(1);
    expect(charges.missing(7, 1, 1)).toBe(1);
  });

  test('are completed when only the first of two was committed', () => {
    const charges = new OwnCharges();
    expect(charges.missing(7, 0, 2)).toBe(2);
    expect(charges.missing(7, 1, 1)).toBe(1);
    expect(charges.missing(7, 2, 1)).toBe(0);
  });

  test('start again once the record has ended, or its charges are gone', () => {
    const charges = new OwnCharges();
    expect(charges.missing(7, 1, 1)).toBe(1);
    expect(charges.missing(7, 0, 1)).toBe(1);
    charges.clear(7);
    expect(charges.has(7)).toBe(false);
    expect(charges.missing(7, 2, 1)).toBe(1);
  });
});
