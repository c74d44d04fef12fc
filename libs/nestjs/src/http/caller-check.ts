import 'reflect-metadata';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { GUARDS_METADATA } from '@nestjs/common/constants.js';
import { type DiscoveryService, MetadataScanner } from '@nestjs/core';
import { ConfigurationError } from '@waybill/kernel';
import { declaredCaller, IdempotencyInterceptor } from './idempotent-request.js';
import { DEFAULT_NAME } from '../options/instance-name.js';
import type { Waybill } from '../instance/waybill.js';

/**
 * Refuses an `@IdempotentRequest` at start if it cannot identify callers: without the option `caller` it needs the
 * authenticated user, and without a guard there is none.
 */
@Injectable()
export class CallerCheck implements OnApplicationBootstrap {
  constructor(
    private readonly waybill: Waybill,
    private readonly discovery: DiscoveryService,
  ) {}

  /** @throws ConfigurationError */
  onApplicationBootstrap(): void {
    if (this.#hasGlobalGuard()) return;
    const places = [...this.#decorated(), ...this.#interceptors()];
    if (places.length > 0)
      throw new ConfigurationError(
        'The callers of idempotent requests cannot be identified',
        places.map(
          (where) =>
            `${where} has neither the option caller nor a guard that authenticates: identify the caller with ` +
            "{ caller: (request) => … }, or { caller: 'anonymous' } if all callers may share responses",
        ),
      );
  }

  #hasGlobalGuard(): boolean {
    return this.discovery
      .getProviders()
      .some(({ name, token }) => [name, token].some((given) => String(given).startsWith('APP_GUARD')));
  }

  #decorated(): string[] {
    const scanner = new MetadataScanner();
    return this.discovery.getControllers().flatMap(({ metatype }) => {
      const prototype = metatype?.prototype as Record<string, object> | undefined;
      if (typeof metatype !== 'function' || prototype === undefined || isGuarded(metatype)) return [];
      const ofClass = declaredCaller(metatype);
      return scanner.getAllMethodNames(prototype).flatMap((name) => {
        const method = prototype[name] as object;
        const declared = declaredCaller(method) ?? (isRoute(method) ? ofClass : undefined);
        const isOpen = declared !== undefined && !declared.isGiven && declared.instance === this.waybill.name;
        return isOpen && !isGuarded(method) ? [`${metatype.name}.${name}`] : [];
      });
    });
  }

  /** Guards that the application itself provides for all requests. */
  #interceptors(): string[] {
    if (this.waybill.name !== DEFAULT_NAME) return [];
    return this.discovery
      .getProviders()
      .filter(
        ({ instance, name }) =>
          instance instanceof IdempotencyInterceptor && !instance.knowsCaller && name !== '',
      )
      .filter(({ name, token }) => [name, token].some((given) => String(given).startsWith('APP_INTERCEPTOR')))
      .map(() => 'IdempotencyInterceptor');
  }
}

function isGuarded(target: object): boolean {
  const guards: unknown = Reflect.getMetadata(GUARDS_METADATA, target);
  return Array.isArray(guards) && guards.length > 0;
}

function isRoute(method: object): boolean {
  return Reflect.hasMetadata('path', method);
}
