import { type AttributesOf, saga, type SagaDefinition } from '@waybill/saga';

export interface Order {
  readonly customer: string | number;
  readonly region?: string;
}

/** While the lorry is away nothing is shipped. */
export const lorry = { isAway: false };

/** Waits for `go`; after its pivot it ships, or is stuck. */
export function shipping(attributes?: AttributesOf<never>): SagaDefinition<Order, Order> {
  const built = saga<Order>('orders.ship')
    .waitFor<{ region?: string }, { region?: string }>('go', { then: (payload) => payload ?? {} })
    .local('decide', { pivot: true, run: async () => {} })
    .local('ship', {
      policy: { maxAttempts: 1 },
      run: async () => {
        if (lorry.isAway) throw new Error('no lorry');
      },
    });
  if (attributes !== undefined) built.attributes(attributes as never);
  return built.build() as SagaDefinition<Order, Order>;
}

/** One that is found by its customer and its region. */
export const found = shipping((({ customer, region }: Order) => ({ customer, region })) as never);
