import 'reflect-metadata';
import { Controller, Injectable } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import type { SubscriptionOptions } from '@waybill/consumer';
import type { SagaCommandContract, SagaStartedByOptions } from '@waybill/saga';
import { DEFAULT_NAME, waybillTransport } from '../options/instance-name.js';
import { markSagaCommand } from './saga-command-mark.js';

const SAGA = Symbol.for('waybill.saga');
const STARTED_BY = Symbol.for('waybill.saga-started-by');

/** Options of {@link Saga}. */
export interface SagaProviderOptions {
  /** The instance of Waybill, if an application has several. */
  readonly name?: string;
}

/**
 * Marks a provider that defines sagas: each of its properties that is a definition is registered, so that its local
 * actions can use injected services. Each version of a saga is a separate property.
 *
 * ```ts
 * @Saga()
 * export class PlaceOrder {
 *   constructor(private readonly orders: OrdersRepository) {}
 *   readonly definition = saga<Order>('orders.place')
 *     .step('charge', { invoke: chargeCard, with: ({ pence }) => ({ pence }) })
 *     .local('confirm', { run: ({ orderId }, { transaction }) => this.orders.confirm(transaction, orderId) })
 *     .build();
 * }
 * ```
 */
export function Saga(options: SagaProviderOptions = {}): ClassDecorator {
  return (target) => {
    Injectable()(target);
    Reflect.defineMetadata(SAGA, options, target);
  };
}

/** The options of {@link Saga} on a class; undefined if it is not decorated. */
export function sagaOptionsOf(metatype: object): SagaProviderOptions | undefined {
  return Reflect.getMetadata(SAGA, metatype) as SagaProviderOptions | undefined;
}

/** A property that {@link SagaStartedBy} marks. */
export interface SagaStart {
  readonly property: string | symbol;
  readonly topic: string;
  readonly options: SagaStartedByOptions<unknown, object>;
}

/**
 * Marks a property of a `@Saga()` provider that is a definition: each event of the topic starts one of its sagas, in the
 * transaction of the event's delivery. A second event with the same key starts no second saga.
 *
 * ```ts
 * @SagaStartedBy('payments.received', { key: ({ orderId }: PaymentReceived) => orderId })
 * readonly definition = saga<PaymentReceived>('orders.fulfil')…
 * ```
 */
export function SagaStartedBy<Event, Input extends object = Event & object>(
  topic: string,
  options: SagaStartedByOptions<Event, Input>,
): PropertyDecorator {
  return (prototype, property) => {
    const start = { property, topic, options };
    Reflect.defineMetadata(STARTED_BY, [...sagaStartsOf(prototype), start], prototype);
  };
}

/** The events that start the sagas of a provider. */
export function sagaStartsOf(prototype: object): readonly SagaStart[] {
  return (Reflect.getMetadata(STARTED_BY, prototype) ?? []) as readonly SagaStart[];
}

/** A class whose methods handle saga commands: a controller. */
export function SagaParticipant(): ClassDecorator {
  return Controller();
}

/** Options of {@link SagaCommand}: those of its subscription, and its instance of Waybill. */
export type SagaCommandOptions = SubscriptionOptions & { readonly instance?: string };

/**
 * Handles a saga command. The method's result is the reply; by throwing a `SagaRejectedError`, it says no for business
 * reasons: its writes are rolled back and the saga is compensated. Any other error is a failure, and the command is
 * retried as any message. The barrier lets each command take effect once, and never after its compensation: for this,
 * the method must write through `ctx.transaction`.
 */
export function SagaCommand<Request, Reply>(
  command: SagaCommandContract<Request, Reply>,
  { instance, ...options }: SagaCommandOptions = {},
): <Method extends (request: Request, ...rest: never[]) => Reply | Promise<Reply>>(
  prototype: object,
  method: string | symbol,
  descriptor: TypedPropertyDescriptor<Method>,
) => void {
  const extras = markSagaCommand(options);
  const decorate = EventPattern<string>(command.topic, waybillTransport(instance ?? DEFAULT_NAME), extras);
  return (prototype, method, descriptor) => {
    decorate(prototype, method, descriptor);
  };
}
