import { expect, test } from '@jest/globals';
import { saga, sagaCommand, type SagaDefinition } from '@waybill/saga';
import { fingerprintOf } from '../src/definition/fingerprint.js';
import { storedAttributes } from '../src/definition/attributes.js';

interface Order {
  readonly customer: string;
}

const charge = sagaCommand<Order, { chargeId: string }>('payments.charge');
const begun = () =>
  saga<Order>('orders.place').step('charge', {
    invoke: charge,
    with: ({ customer }) => ({ customer }),
    then: ({ chargeId }) => ({ chargeId }),
  });
const shape = (definition: unknown): string => fingerprintOf(definition as SagaDefinition);

test('attributes may depend on data that a saga does not have yet, and are not part of its shape', () => {
  const definition = begun()
    .attributes(({ customer, chargeId }) => ({ customer, chargeId }))
    .build();
  expect(definition.attributes?.({ customer: 'c' })).toEqual({ customer: 'c', chargeId: undefined });
  expect(shape(definition)).toBe(shape(begun().build()));
  // @ts-expect-error an array is not an attribute
  begun().attributes(() => ({ customer: ['c'] }));
  // @ts-expect-error they are computed synchronously
  begun().attributes(async () => ({ customer: 'c' }));
});

test('attributes are defined once, as a function', () => {
  expect(() =>
    begun()
      .attributes(() => ({}))
      .attributes(() => ({}))
      .build(),
  ).toThrow('its attributes are defined twice');
  for (const bad of [{ customer: 1 }, null, 'customer'])
    expect(() =>
      begun()
        .attributes(bad as never)
        .build(),
    ).toThrow('its attributes must be a function');
});

test('a number is stored as its digits, and undefined is not stored', () => {
  expect(storedAttributes({ b: true, a: -0, c: 1e21, d: undefined, 'x.y': '1' })).toEqual({
    attributes: [
      { name: 'a', kind: 'number', value: '0' },
      { name: 'b', kind: 'boolean', value: 'true' },
      { name: 'c', kind: 'number', value: '1e+21' },
      { name: 'x.y', kind: 'string', value: '1' },
    ],
    problems: [],
  });
  const many = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`n${n}`, n]));
  expect(storedAttributes(many).problems).toEqual([]);
  expect(storedAttributes({ ...many, one: 1, ['-']: 'secret' }).problems).toEqual([
    'the name "-" must be 1 to 100 characters of A-Z a-z 0-9 . _ - and must not begin with . or -',
    'there may be up to 20, got 22',
  ]);
});
