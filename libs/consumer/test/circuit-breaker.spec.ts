import { describe, expect, test } from '@jest/globals';
import { CircuitBreaker } from '../src/policy/circuit-breaker.js';

describe('a circuit breaker', () => {
  test('opens after failures in a row, tries one message after its pause, and closes when that succeeds', () => {
    let now = 0;
    const breaker = new CircuitBreaker({ failures: 3, pauseMs: 100 }, () => now);
    expect(breaker.failed()).toBe(false);
    expect(breaker.failed()).toBe(false);
    expect(breaker.succeeded()).toBe(false);
    expect([breaker.failed(), breaker.failed(), breaker.failed()]).toEqual([false, false, true]);
    expect([breaker.state, breaker.waitMs]).toEqual(['open', 100]);
    now = 100;
    expect([breaker.state, breaker.waitMs, breaker.onlyOne]).toEqual(['half-open', 0, true]);
    breaker.begin();
    expect(breaker.waitMs).toBe(Infinity);
    expect(breaker.failed()).toBe(false);
    expect([breaker.state, breaker.waitMs]).toEqual(['open', 100]);
    now = 200;
    breaker.begin();
    expect(breaker.succeeded()).toBe(true);
    expect([breaker.state, breaker.waitMs, breaker.onlyOne]).toEqual(['closed', 0, false]);
  });

  test('probes with another message if the probe ended without a result', () => {
    let now = 0;
    const breaker = new CircuitBreaker({ failures: 1, pauseMs: 100 }, () => now);
    breaker.failed();
    now = 150;
    breaker.begin();
    breaker.undecided();
    expect(breaker.waitMs).toBe(0);
  });

  test('refuses invalid options', () => {
    expect(() => new CircuitBreaker({ failures: 0 }, () => 0)).toThrow('failures must be a whole number');
  });
});
