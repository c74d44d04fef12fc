import 'reflect-metadata';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { ANY_TOPIC, type HalfMessageCheck as Check, type HalfToCheck } from '@waybill/half-message';
import { ConfigurationError } from '@waybill/kernel';
import { assertTopicName } from '@waybill/log';
import { DEFAULT_NAME } from '../injection/waybill-token.js';
import type { Waybill } from '../instance/waybill.js';

const METADATA = Symbol.for('waybill.half-message-check');

/** Which half messages a check is for. */
export type HalfMessageCheckTarget =
  /** Those whose messages go to this topic. */
  | string
  | {
      /** All of a producer group that no check of a topic is for. */
      readonly group: string;
      /** The instance of Waybill, where an application has several. */
      readonly name?: string;
    }
  | { readonly topic: string; readonly name?: string };

/**
 * Marks a method of a provider as the check-back of half messages: it gets the half message and answers `commit`,
 * `rollback` (final: its local work has not taken effect and never will) or `unknown`. A throw is no answer; it is asked
 * again. Any process of the producer group may be asked about half messages of any other.
 */
export function HalfMessageCheck(
  target: HalfMessageCheckTarget,
): <T extends Check>(
  prototype: object,
  method: string | symbol,
  descriptor: TypedPropertyDescriptor<T>,
) => void {
  if (typeof target === 'string') assertTopicName(target);
  else if ('topic' in target) assertTopicName(target.topic);
  return (_prototype, _method, descriptor) => {
    Reflect.defineMetadata(METADATA, target, descriptor.value as Check);
  };
}

interface FoundCheck {
  readonly target: Exclude<HalfMessageCheckTarget, string>;
  /** For messages: `Payments.checkCharge`. */
  readonly where: string;
  readonly isStatic: boolean;
  readonly call: Check;
}

/** Finds the checks of an application, and gives them to the instance of Waybill that they are for. */
@Injectable()
export class HalfMessageChecks implements OnModuleInit {
  constructor(
    private readonly waybill: Waybill,
    private readonly discovery: DiscoveryService,
  ) {}

  /** @throws ConfigurationError listing two checks for one topic, and those of request-scoped providers */
  onModuleInit(): void {
    const { name, options, halves } = this.waybill;
    const problems: string[] = [];
    const places = new Map<string, string>();
    for (const { target, where, isStatic, call } of this.#find()) {
      if ((target.name ?? DEFAULT_NAME) !== name) continue;
      if ('group' in target && target.group !== options.group) continue;
      const key = 'group' in target ? ANY_TOPIC : target.topic;
      const what = key === ANY_TOPIC ? `group ${options.group}` : `topic ${key}`;
      const other = places.get(key);
      if (other !== undefined) problems.push(`${other} and ${where} both check ${what}`);
      if (!isStatic) problems.push(`${where} belongs to a request-scoped provider, which nobody could call`);
      places.set(key, where);
      halves.checks.set(key, call);
    }
    if (places.size > 0 && options.group === undefined)
      problems.push('there are checks of half messages, and the module names no group');
    if (problems.length > 0)
      throw new ConfigurationError('The checks of half messages are not usable', problems);
  }

  #find(): FoundCheck[] {
    const scanner = new MetadataScanner();
    const seen = new Set<object>();
    const found: FoundCheck[] = [];
    for (const wrapper of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      const instance = wrapper.instance as Record<string, Check> | null | undefined;
      if (typeof instance !== 'object' || instance === null || seen.has(instance)) continue;
      seen.add(instance);
      const prototype = Object.getPrototypeOf(instance) as Record<string, unknown> | null;
      for (const method of prototype === null ? [] : scanner.getAllMethodNames(prototype)) {
        const check = prototype?.[method];
        if (typeof check !== 'function') continue;
        const target = Reflect.getMetadata(METADATA, check) as HalfMessageCheckTarget | undefined;
        if (target === undefined) continue;
        found.push({
          target: typeof target === 'string' ? { topic: target } : target,
          where: `${instance.constructor.name}.${method}`,
          isStatic: wrapper.isDependencyTreeStatic(),
          call: (half: HalfToCheck) => (instance[method] as Check)(half),
        });
      }
    }
    return found;
  }
}
