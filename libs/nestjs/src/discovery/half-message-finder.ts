import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { type CheckBack } from '@waybill/half-message';
import { ANY_TOPIC } from '@waybill/half-message/internal';
import { ConfigurationError } from '@waybill/kernel';
import { checkTargetOf, type HalfMessageCheckTarget } from '../half-messages/half-message-check.js';
import type { Waybill } from '../instance/waybill.js';
import { DEFAULT_NAME } from '../options/instance-name.js';
import { markedMethods } from './marked-methods.js';

type CheckTarget = Exclude<HalfMessageCheckTarget, string>;

/** Finds the checks of an application and registers them with their instance of Waybill. */
@Injectable()
export class HalfMessageFinder implements OnModuleInit {
  constructor(
    private readonly waybill: Waybill,
    private readonly discovery: DiscoveryService,
  ) {}

  /** @throws ConfigurationError that lists duplicate checks of a topic and checks of request-scoped providers */
  onModuleInit(): void {
    const { name, options, halves } = this.waybill;
    const problems: string[] = [];
    const places = new Map<string, string>();
    for (const { mark: target, where, isStatic, call } of markedMethods<CheckTarget, CheckBack>(
      this.discovery,
      checkTargetOf,
    )) {
      if ((target.name ?? DEFAULT_NAME) !== name) continue;
      if ('group' in target && target.group !== options.group) continue;
      const key = 'group' in target ? ANY_TOPIC : target.topic;
      const what = key === ANY_TOPIC ? `group ${options.group}` : `topic ${key}`;
      const other = places.get(key);
      if (other !== undefined) problems.push(`${other} and ${where} both check ${what}`);
      if (!isStatic)
        problems.push(
          `${where} belongs to a request-scoped provider, so Waybill cannot call it: make the provider a singleton`,
        );
      places.set(key, where);
      halves.checks.set(key, call);
    }
    if (places.size > 0 && options.group === undefined)
      problems.push('there are half-message checks, but the module has no group: set the option group');
    if (problems.length > 0) throw new ConfigurationError('The half-message checks are not usable', problems);
  }
}
