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
  /** The instance of Waybill, where an application has several. */
  readonly name?: string;
}

/**
 * Marks a provider that defines sagas: each of its properties that is a definition is registered, so that its local
 * actions can use what is injected. Versions of one saga stand side by side as properties of their own.
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

/** What {@link Saga} says of a class; undefined where it is not decorated. */
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
 * transaction of the event's delivery. A second event with the same key finds the first one's saga.
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

/** What starts the sagas of a provider. */
export function sagaStartsOf(prototype: object): readonly SagaStart[] {
  return (Reflect.getMetadata(STARTED_BY, prototype) ?? []) as readonly SagaStart[];
}

/** A class whose methods serve commands of sagas: a controller. */
export function SagaParticipant(): ClassDecorator {
  return Controller();
}

/** Options of {@link SagaCommand}: of its subscription, and which instance of Waybill it is for. */
export type SagaCommandOptions = SubscriptionOptions & { readonly instance?: string };

/**
 * Serves a command of sagas. What the method returns is the answer; a `SagaRejectedError` that it throws says that the
 * business does not want it: its writes are rolled back and the saga is compensated. Any other error is trouble, and the
 * command is delivered again, as any message. The barrier lets each command happen once, and never behind its
 * compensation: it needs what the method writes to go through `ctx.transaction`.
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
