import 'reflect-metadata';
import { type DiscoveryService, MetadataScanner } from '@nestjs/core';
import {
  PATTERN_HANDLER_METADATA,
  PATTERN_METADATA,
  TRANSPORT_METADATA,
} from '@nestjs/microservices/constants.js';
import { waybillTransport } from '../options/instance-name.js';

/** Nest's metadata key of a handler that replies. */
const ANSWERS = 1;

/** A handler as its class declares it, whether or not a server runs it. */
export interface DeclaredPattern {
  readonly pattern: string;
  /** Its class and method. */
  readonly where: string;
  /** Whether it is a `@MessagePattern`. */
  readonly replies: boolean;
  /** Whether its controller is created for each delivery. */
  readonly isRequestScoped: boolean;
}

/**
 * The handlers that an application declares for an instance. It inspects classes only, so the application need not be
 * started.
 */
export function declaredPatterns(discovery: DiscoveryService, instance: string): DeclaredPattern[] {
  const scanner = new MetadataScanner();
  return discovery.getControllers().flatMap((wrapper) => {
    const { metatype } = wrapper;
    const prototype = metatype?.prototype as Record<string, object> | undefined;
    if (prototype === undefined) return [];
    const isRequestScoped = !wrapper.isDependencyTreeStatic() && !wrapper.isDependencyTreeDurable();
    return scanner.getAllMethodNames(prototype).flatMap((method) => {
      const where = `${metatype?.name}.${method}`;
      const declared = patternsOf(prototype[method] as object, instance);
      return declared.map((one) => ({ ...one, where, isRequestScoped }));
    });
  });
}

/** Handlers that Nest never binds, because their classes are providers and not controllers. */
export function handlersOfProviders(
  discovery: DiscoveryService,
  instance: string,
): { readonly pattern: string; readonly where: string }[] {
  const scanner = new MetadataScanner();
  const controllers = new Set(discovery.getControllers().map(({ metatype }) => metatype));
  const classes = new Set(discovery.getProviders().map(({ metatype }) => metatype));
  return [...classes].flatMap((metatype) => {
    const prototype = metatype?.prototype as Record<string, unknown> | null | undefined;
    if (typeof prototype !== 'object' || prototype === null || controllers.has(metatype)) return [];
    return scanner.getAllMethodNames(prototype).flatMap((method) => {
      const found = patternsOf(prototype[method] as object, instance);
      return found.map(({ pattern }) => ({ pattern, where: `${metatype?.name}.${method}` }));
    });
  });
}

function patternsOf(method: object, instance: string): Pick<DeclaredPattern, 'pattern' | 'replies'>[] {
  const patterns = (Reflect.getMetadata(PATTERN_METADATA, method) ?? []) as readonly unknown[];
  const transport = Reflect.getMetadata(TRANSPORT_METADATA, method) as unknown;
  if (transport !== undefined && transport !== waybillTransport(instance)) return [];
  const replies = Reflect.getMetadata(PATTERN_HANDLER_METADATA, method) === ANSWERS;
  return patterns.flatMap((pattern) => (typeof pattern === 'string' ? [{ pattern, replies }] : []));
}
