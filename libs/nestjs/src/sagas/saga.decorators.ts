import 'reflect-metadata';
import { Controller, Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { EventPattern } from '@nestjs/microservices';
import type { SubscriptionOptions } from '@waybill/consumer';
import { ConfigurationError, describeError } from '@waybill/kernel';
import {
  isSagaDefinition,
  type SagaCommand as Command,
  type SagaDefinition,
  type SagaStartedByOptions,
  startedBy,
} from '@waybill/saga';
import { DEFAULT_NAME, waybillTransport } from '../injection/waybill-token.js';
import type { Waybill } from '../instance/waybill.js';

const SAGA = Symbol.for('waybill.saga');
const STARTED_BY = Symbol.for('waybill.saga-started-by');
/** Under this key the extras of a handler say that it serves commands of sagas. Being a symbol, it is no option. */
const COMMAND = Symbol.for('waybill.saga-command');

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

interface MarkedStart {
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
    Reflect.defineMetadata(STARTED_BY, [...startsOf(prototype), start], prototype);
  };
}

function startsOf(prototype: object): readonly MarkedStart[] {
  return (Reflect.getMetadata(STARTED_BY, prototype) ?? []) as readonly MarkedStart[];
}

/** A class whose methods serve commands of sagas: a controller. */
export function SagaParticipant(): ClassDecorator {
  return Controller();
}

/** Options of {@link SagaCommand}: of its subscription, and which instance of Waybill it is for. */
export type SagaCommandOptions = SubscriptionOptions & { readonly instance?: string };

/**
 * Serves a command of sagas. What the method returns is the answer; a `SagaRejection` that it throws says that the
 * business does not want it: its writes are rolled back and the saga is compensated. Any other error is trouble, and the
 * command is delivered again, as any message. The barrier lets each command happen once, and never behind its
 * compensation: it needs what the method writes to go through `ctx.transaction`.
 */
export function SagaCommand<Request, Reply>(
  command: Command<Request, Reply>,
  { instance, ...options }: SagaCommandOptions = {},
): <Method extends (request: Request, ...rest: never[]) => Reply | Promise<Reply>>(
  prototype: object,
  method: string | symbol,
  descriptor: TypedPropertyDescriptor<Method>,
) => void {
  const extras = { ...options, [COMMAND]: true };
  const decorate = EventPattern<string>(command.topic, waybillTransport(instance ?? DEFAULT_NAME), extras);
  return (prototype, method, descriptor) => {
    decorate(prototype, method, descriptor);
  };
}

/** Whether the handler with these extras serves commands of sagas. */
export function isSagaCommand(extras: unknown): boolean {
  return (extras as { [COMMAND]?: boolean } | undefined)?.[COMMAND] === true;
}

/**
 * Finds the sagas of an application, for the instance of Waybill that they are for: when that starts, which may be before
 * Nest's hooks run.
 */
@Injectable()
export class SagaFinder {
  constructor(
    private readonly waybill: Waybill,
    private readonly discovery: DiscoveryService,
  ) {
    waybill.sagas.finders.push(() => this.find());
  }

  /** @throws ConfigurationError listing providers without a saga, request-scoped ones, and sagas defined twice */
  find(): void {
    const { name, sagas, options } = this.waybill;
    const problems: string[] = [];
    const seen = new Set<object>();
    for (const { instance, metatype, isDependencyTreeStatic } of this.#providers()) {
      const where = metatype.name;
      const marked = Reflect.getMetadata(SAGA, metatype) as SagaProviderOptions;
      if ((marked.name ?? DEFAULT_NAME) !== name || seen.has(instance)) continue;
      seen.add(instance);
      if (!isDependencyTreeStatic)
        problems.push(`${where} is request-scoped, and a saga has no request: make it a singleton`);
      const found = Object.values(instance).filter(isSagaDefinition) as SagaDefinition[];
      if (found.length === 0) problems.push(`${where} has no property that is a definition of a saga`);
      for (const definition of found) {
        const { type, version } = definition;
        if (sagas.definitions.find(type, version) === undefined) sagas.definitions.add(definition);
        else problems.push(`${where} defines version ${version} of ${type}, which is there already`);
      }
      problems.push(...this.#addStarts(where, instance));
    }
    if (sagas.definitions.size > 0 && options.group === undefined)
      problems.push('there are sagas, and the module names no group');
    if (sagas.definitions.size > 0 && options.bus !== undefined)
      problems.push(
        'there are sagas, and the log is in another database than they are: define them in a service whose database it is',
      );
    if (problems.length > 0) throw new ConfigurationError('The sagas are not usable', problems);
  }

  /** @returns what is wrong with them */
  #addStarts(where: string, instance: object): string[] {
    return startsOf(instance).flatMap(({ property, topic, options }) => {
      const definition = Object.getOwnPropertyDescriptor(instance, property)?.value as unknown;
      if (!isSagaDefinition(definition))
        return [`${where}.${String(property)} is to be started by ${topic}, and is no definition of a saga`];
      try {
        this.waybill.sagas.definitions.addStart(startedBy(definition as SagaDefinition, topic, options));
        return [];
      } catch (error) {
        return [`${where}.${String(property)}: ${describeError(error)}`];
      }
    });
  }

  *#providers(): IterableIterator<{
    readonly instance: object;
    readonly metatype: { readonly name: string };
    readonly isDependencyTreeStatic: boolean;
  }> {
    for (const wrapper of this.discovery.getProviders()) {
      const { metatype } = wrapper;
      if (typeof metatype !== 'function' || !Reflect.hasMetadata(SAGA, metatype)) continue;
      const instance = wrapper.instance as object | undefined;
      const isDependencyTreeStatic = wrapper.isDependencyTreeStatic();
      if (typeof instance === 'object') yield { instance, metatype, isDependencyTreeStatic };
    }
  }
}
