import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { ConfigurationError } from '@waybill/kernel';
import { assertTopicName } from '@waybill/log';
import type { TransactionHandle } from '@waybill/outbox';
import type { UnclaimedHandler } from '@waybill/saga';
import { DEFAULT_NAME } from '../injection/waybill-token.js';
import type { Waybill } from '../instance/waybill.js';

const METADATA = Symbol.for('waybill.saga-not-found');

/** Options of {@link SagaNotFound}. */
export interface SagaNotFoundOptions {
  /** The instance of Waybill, where an application has several. */
  readonly name?: string;
}

interface Marked extends SagaNotFoundOptions {
  readonly topic: string;
}

/**
 * Marks a method of a provider or controller as the handler of events of a topic that no saga has waited for within
 * `sagas.events.keepMs`: it gets the event, and what is known of it with the transaction in which it is taken out.
 */
export function SagaNotFound(
  topic: string,
  options: SagaNotFoundOptions = {},
): <T extends UnclaimedHandler>(
  prototype: object,
  method: string | symbol,
  descriptor: TypedPropertyDescriptor<T>,
) => void {
  assertTopicName(topic);
  return (_prototype, _method, descriptor) => {
    Reflect.defineMetadata(METADATA, { ...options, topic } satisfies Marked, descriptor.value as object);
  };
}

/** Finds the handlers of events without a saga, for the instance of Waybill that they are for. */
@Injectable()
export class SagaNotFoundHandlers {
  constructor(
    private readonly waybill: Waybill,
    private readonly discovery: DiscoveryService,
  ) {
    waybill.sagas.finders.push(() => this.find());
  }

  /** @throws ConfigurationError listing two handlers for one topic, and those of request-scoped providers */
  find(): void {
    const { name, sagas, ambient } = this.waybill;
    const problems: string[] = [];
    const places = new Map<string, string>();
    for (const { marked, where, isStatic, call } of this.#find()) {
      if ((marked.name ?? DEFAULT_NAME) !== name) continue;
      const other = places.get(marked.topic);
      if (other !== undefined)
        problems.push(`${other} and ${where} both handle events of ${marked.topic} without a saga`);
      if (!isStatic)
        problems.push(`${where} belongs to a request-scoped provider, and an event has no request`);
      places.set(marked.topic, where);
      sagas.unclaimed.set(marked.topic, (event, about) => {
        const transaction: unknown = about.transaction;
        return ambient.within(transaction as TransactionHandle, transaction, async () => call(event, about));
      });
    }
    if (problems.length > 0)
      throw new ConfigurationError('The handlers of events without a saga are not usable', problems);
  }

  *#find(): IterableIterator<{
    readonly marked: Marked;
    readonly where: string;
    readonly isStatic: boolean;
    readonly call: UnclaimedHandler;
  }> {
    const scanner = new MetadataScanner();
    const seen = new Set<object>();
    for (const wrapper of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      const instance = wrapper.instance as Record<string, UnclaimedHandler> | null | undefined;
      if (typeof instance !== 'object' || instance === null || seen.has(instance)) continue;
      seen.add(instance);
      const prototype = Object.getPrototypeOf(instance) as Record<string, unknown> | null;
      for (const method of prototype === null ? [] : scanner.getAllMethodNames(prototype)) {
        const target = prototype?.[method];
        if (typeof target !== 'function') continue;
        const marked = Reflect.getMetadata(METADATA, target) as Marked | undefined;
        if (marked === undefined) continue;
        yield {
          marked,
          where: `${wrapper.name}.${method}`,
          isStatic: wrapper.isDependencyTreeStatic(),
          call: (event, about) => instance[method]?.(event, about),
        };
      }
    }
  }
}
