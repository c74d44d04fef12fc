import { describe, expect, test } from '@jest/globals';
import { readShopEnvironment } from '../../src/shop-config.js';
import { ShopError } from '../../src/shop-error.js';

const ORDERS_DATABASE_URL = 'postgresql://shop@127.0.0.1:5432/orders';
const INVENTORY_DATABASE_URL = 'postgresql://shop@127.0.0.1:5432/inventory';
const PAYMENTS_DATABASE_URL = 'postgresql://shop@127.0.0.1:5433/payments';
const BUS_DATABASE_URL = 'postgresql://shop@127.0.0.1:5433/bus';
const OWNED = { ORDERS_DATABASE_URL, INVENTORY_DATABASE_URL, PAYMENTS_DATABASE_URL, BUS_DATABASE_URL };

describe('the environment of the shop', () => {
  test('needs a database for each service and one for the bus, and nothing else', () => {
    expect(readShopEnvironment({ ...OWNED, SERVICE: '' })).toEqual({
      services: ['orders', 'inventory', 'payments'],
      port: 3000,
      databases: {
        owned: {
          orders: ORDERS_DATABASE_URL,
          inventory: INVENTORY_DATABASE_URL,
          payments: PAYMENTS_DATABASE_URL,
          bus: BUS_DATABASE_URL,
        },
      },
      startingStock: 100_000,
      chargeLimitPence: 500_000,
      declinedCustomers: new Set(),
      undeliverableCustomers: new Set(),
      gatewayUrl: undefined,
      redisUrl: undefined,
      paymentDueMs: 604_800_000,
    });
  });

  test('chooses a service, a port and the rules', () => {
    const rules = {
      SHOP_STARTING_STOCK: '7',
      SHOP_CHARGE_LIMIT_PENCE: '100',
      SHOP_DECLINED_CUSTOMERS: '13,14',
      SHOP_UNDELIVERABLE_CUSTOMERS: '17',
      SHOP_GATEWAY_URL: 'http://127.0.0.1:1',
      SHOP_PAYMENT_DUE_MS: '5',
      REDIS_URL: 'redis://127.0.0.1:6379',
    };
    const env = { ...OWNED, SERVICE: 'payments', PORT: '0', ...rules };
    expect(readShopEnvironment(env)).toMatchObject({
      services: ['payments'],
      port: 0,
      startingStock: 7,
      chargeLimitPence: 100,
      declinedCustomers: new Set(['13', '14']),
      undeliverableCustomers: new Set(['17']),
      gatewayUrl: 'http://127.0.0.1:1',
      redisUrl: 'redis://127.0.0.1:6379',
      paymentDueMs: 5,
    });
  });

  test('gives one service its own logins, in databases that were prepared for it', () => {
    const one = { SERVICE: 'payments', SERVICE_DATABASE_URL: PAYMENTS_DATABASE_URL };
    expect(readShopEnvironment({ ...one, SERVICE_BUS_URL: BUS_DATABASE_URL }).databases).toEqual({
      serviceDatabaseUrl: PAYMENTS_DATABASE_URL,
      serviceBusUrl: BUS_DATABASE_URL,
    });
    expect(() => readShopEnvironment(one)).toThrow('SERVICE_BUS_URL');
    expect(() => readShopEnvironment({ SERVICE_DATABASE_URL: PAYMENTS_DATABASE_URL })).toThrow(
      'PAYMENTS_DATABASE_URL',
    );
  });

  test('that is wrong gets all its errors at once', () => {
    const read = (): unknown =>
      readShopEnvironment({
        SERVICE: 'shipping',
        PORT: '65536',
        SHOP_STARTING_STOCK: '-1',
        SHOP_GATEWAY_URL: 'gateway',
      });
    expect(read).toThrow(ShopError);
    const names = ['SERVICE', 'PORT', 'SHOP_STARTING_STOCK', 'SHOP_GATEWAY_URL'];
    for (const name of [...names, ...Object.keys(OWNED)]) expect(read).toThrow(name);
  });
});
