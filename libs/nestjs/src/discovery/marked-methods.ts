import type { DiscoveryService } from '@nestjs/core';
import { MetadataScanner } from '@nestjs/core';

/** A method of a provider or controller that has a certain decorator. */
export interface MarkedMethod<Mark, Method> {
  readonly mark: Mark;
  /** For messages: `Payments.checkCharge`. */
  readonly where: string;
  /** Whether its provider and all its dependencies are singletons. */
  readonly isStatic: boolean;
  /** Bound to its provider. */
  readonly call: Method;
}

/** The methods of an application's providers and controllers that have a certain decorator. */
export function* markedMethods<Mark, Method extends (...args: never[]) => unknown>(
  discovery: DiscoveryService,
  markOf: (method: object) => Mark | undefined,
): IterableIterator<MarkedMethod<Mark, Method>> {
  const scanner = new MetadataScanner();
  const seen = new Set<object>();
  for (const wrapper of [...discovery.getProviders(), ...discovery.getControllers()]) {
    const instance = wrapper.instance as object | null | undefined;
    if (typeof instance !== 'object' || instance === null || seen.has(instance)) continue;
    seen.add(instance);
    const prototype = Object.getPrototypeOf(instance) as Record<string, unknown> | null;
    for (const name of prototype === null ? [] : scanner.getAllMethodNames(prototype)) {
      const method = prototype?.[name];
      const mark = typeof method === 'function' ? markOf(method) : undefined;
      if (mark === undefined) continue;
      const call = (method as Method).bind(instance) as Method;
      const isStatic = wrapper.isDependencyTreeStatic();
      yield { mark, where: `${instance.constructor.name}.${name}`, isStatic, call };
    }
  }
}
