import { describe, expect, test } from '@jest/globals';
import {
  nextStatus,
  ORDER_STATUSES,
  type OrderEvent,
  type OrderStatus,
} from '../../src/orders/order-state.js';
import { ShopError } from '../../src/shop-error.js';

const EVENTS: readonly OrderEvent[] = ['confirmed', 'rejected', 'cancelled', 'refunded'];

const POSSIBLE = new Map<string, OrderStatus>([
  ['PLACED confirmed', 'CONFIRMED'],
  ['PLACED rejected', 'REJECTED'],
  ['CONFIRMED cancelled', 'CANCELLING'],
  ['CANCELLING refunded', 'REFUNDED'],
]);

describe('the state of an order', () => {
  for (const status of ORDER_STATUSES) {
    for (const event of EVENTS) {
      const to = POSSIBLE.get(`${status} ${event}`);
      test(`${status} ${event}: ${to ?? 'refused'}`, () => {
        if (to !== undefined) {
          expect(nextStatus('536365', status, event)).toBe(to);
        } else {
          expect(() => nextStatus('536365', status, event)).toThrow(ShopError);
          expect(() => nextStatus('536365', status, event)).toThrow(
            `Order 536365 is ${status} and cannot become`,
          );
        }
      });
    }
  }
});
