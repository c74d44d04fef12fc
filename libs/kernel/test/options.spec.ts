import { describe, expect, test } from '@jest/globals';
import { ConfigurationError } from '../src/index.js';
import { flag, oneOf, resolveOptions, text, wholeNumber } from '../src/options.js';

const SPECS = {
  leaseMs: wholeNumber({ default: 10_000, min: 100, max: 60_000 }),
  heartbeatMs: wholeNumber({ default: 2_000, min: 10, max: 20_000 }),
  order: oneOf(['key', 'partition'], 'key'),
  relay: flag(true),
  group: text({ default: 'shop', pattern: /^[a-z]+$/, meaning: 'lower-case letters' }),
};

function problemsOf(given: object): readonly string[] {
  try {
    resolveOptions('test', SPECS, given, ({ leaseMs, heartbeatMs }) =>
      leaseMs >= 3 * heartbeatMs ? [] : ['leaseMs must be three times heartbeatMs'],
    );
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}

describe('options', () => {
  test('take their defaults, and are read-only', () => {
    const resolved = resolveOptions('test', SPECS, { leaseMs: undefined, order: 'partition' });
    expect(resolved).toEqual({
      leaseMs: 10_000,
      heartbeatMs: 2_000,
      order: 'partition',
      relay: true,
      group: 'shop',
    });
    expect(Object.isFrozen(resolved)).toBe(true);
  });

  test('are refused with every problem at once', () => {
    expect(problemsOf({ leaseMs: 1, heartbeatMs: 1.5, order: 'both', relay: 1, group: 'A' })).toEqual([
      'leaseMs must be a whole number from 100 to 60000, got 1',
      'heartbeatMs must be a whole number from 10 to 20000, got 1.5',
      'order must be one of key, partition, got "both"',
      'relay must be true or false, got 1',
      'group must be lower-case letters, got "A"',
    ]);
  });

  test('with an unknown name are refused with the nearest known one', () => {
    expect(problemsOf({ leasems: 5_000 })).toEqual(['there is no option "leasems", did you mean leaseMs?']);
    expect(problemsOf({ hertbeatMs: 5_000 })).toEqual([
      'there is no option "hertbeatMs", did you mean heartbeatMs?',
    ]);
    expect(problemsOf({ zzzzzzzzzzzz: 1 })[0]).toContain('known are leaseMs');
    expect(problemsOf({ constructor: 1 })).toHaveLength(1);
  });

  test('are compared with each other when each is valid by itself', () => {
    expect(problemsOf({ leaseMs: 1_000 })).toEqual(['leaseMs must be three times heartbeatMs']);
  });
});
