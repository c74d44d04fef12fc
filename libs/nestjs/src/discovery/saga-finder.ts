import { Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { ConfigurationError, describeError } from '@waybill/kernel';
import { type SagaDefinition, startedBy } from '@waybill/saga';
import { isSagaDefinition } from '@waybill/saga/internal';
import type { Waybill } from '../instance/waybill.js';
import { DEFAULT_NAME } from '../options/instance-name.js';
import { sagaOptionsOf, sagaStartsOf } from '../sagas/saga.decorators.js';

/**
 * Finds the sagas of an application for their instance of Waybill when the instance starts, which may be before Nest's
 * hooks run.
 */
@Injectable()
export class SagaFinder {
  constructor(
    private readonly waybill: Waybill,
    private readonly discovery: DiscoveryService,
  ) {
    waybill.sagas.finders.push(() => this.find());
  }

  /** @throws ConfigurationError that lists providers without a saga, request-scoped ones and duplicate sagas */
  find(): void {
    const { sagas, options } = this.waybill;
    const problems: string[] = [];
    const seen = new Set<object>();
    for (const { instance, metatype, isDependencyTreeStatic } of this.#providers()) {
      const where = metatype.name;
      if (seen.has(instance)) continue;
      seen.add(instance);
      if (!isDependencyTreeStatic)
        problems.push(`${where} is request-scoped, but a saga runs outside of requests: make it a singleton`);
      const found = Object.values(instance).filter(isSagaDefinition) as SagaDefinition[];
      if (found.length === 0) problems.push(`${where} has no property that is a saga definition`);
      for (const definition of found) {
        const { type, version } = definition;
        if (sagas.definitions.find(type, version) === undefined) sagas.definitions.add(definition);
        else problems.push(`${where} defines version ${version} of ${type}, which is already defined`);
      }
      problems.push(...this.#addStarts(where, instance));
    }
    if (sagas.definitions.size > 0 && options.group === undefined)
      problems.push('there are sagas, but the module has no group: set the option group');
    if (problems.length > 0) throw new ConfigurationError('The sagas are not usable', problems);
  }

  /** @returns their problems */
  #addStarts(where: string, instance: object): string[] {
    return sagaStartsOf(instance).flatMap(({ property, topic, options }) => {
      const definition = Object.getOwnPropertyDescriptor(instance, property)?.value as unknown;
      if (!isSagaDefinition(definition))
        return [`${where}.${String(property)} has @SagaStartedBy('${topic}') but is not a saga definition`];
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
      if (typeof metatype !== 'function') continue;
      const marked = sagaOptionsOf(metatype);
      if (marked === undefined || (marked.name ?? DEFAULT_NAME) !== this.waybill.name) continue;
      const instance = wrapper.instance as object | undefined;
      const isDependencyTreeStatic = wrapper.isDependencyTreeStatic();
      if (typeof instance === 'object') yield { instance, metatype, isDependencyTreeStatic };
    }
  }
}
