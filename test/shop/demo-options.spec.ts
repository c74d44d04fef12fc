import { describe, expect, test } from '@jest/globals';
import { parseDemoOptions } from '../../src/demo/demo-options.js';
import { ShopError } from '../../src/shop-error.js';

describe('the command line of the demo', () => {
  test('may be empty', () => {
    expect(parseDemoOptions([])).toEqual({
      ordersFile: expect.stringMatching(/src.demo.orders.orders\.csv$/),
      kill: 'payments',
      json: false,
      help: false,
    });
  });

  test('names a file, the service to kill and the kind of output', () => {
    expect(parseDemoOptions(['--orders', 'my orders.csv', '--json', '--kill=none'])).toEqual({
      ordersFile: expect.stringMatching(/my orders\.csv$/),
      kill: 'none',
      json: true,
      help: false,
    });
  });

  test('that is wrong gets all its errors at once', () => {
    const args = ['--order', 'x.csv', '--kill', 'redis', '--json=yes', 'y', '--orders', '--help'];
    const parse = (): unknown => parseDemoOptions(args);
    expect(parse).toThrow(ShopError);
    for (const problem of [
      '--order is not an option',
      "'x.csv' is not an option",
      '--kill needs orders, inventory, payments or none',
      '--orders needs the name of a file',
      '--json takes no value',
      "'y' is not an option",
    ]) {
      expect(parse).toThrow(problem);
    }
  });
});
