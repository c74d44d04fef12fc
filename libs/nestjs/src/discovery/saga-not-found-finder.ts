import { Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { ConfigurationError } from '@waybill/kernel';
import type { TransactionHandle } from '@waybill/outbox';
import type { UnclaimedHandler } from '@waybill/saga';
import type { Waybill } from '../instance/waybill.js';
import { DEFAULT_NAME } from '../options/instance-name.js';
import { type UnclaimedTopic, unclaimedTopicOf } from '../sagas/saga-not-found.js';
import { markedMethods } from './marked-methods.js';

/** Finds the handlers of unclaimed saga events for their instance of Waybill. */
@Injectable()
export class SagaNotFoundFinder {
  constructor(
    private readonly waybill: Waybill,
    private readonly discovery: DiscoveryService,
  ) {
    waybill.sagas.finders.push(() => this.find());
  }

  /** @throws ConfigurationError that lists duplicate handlers of a topic and those of request-scoped providers */
  find(): void {
    const { name, sagas, ambient } = this.waybill;
    const problems: string[] = [];
    const places = new Map<string, string>();
    for (const { mark, where, isStatic, call } of markedMethods<UnclaimedTopic, UnclaimedHandler>(
      this.discovery,
      unclaimedTopicOf,
    )) {
      if ((mark.name ?? DEFAULT_NAME) !== name) continue;
      const other = places.get(mark.topic);
      if (other !== undefined)
        problems.push(`${other} and ${where} both handle unclaimed saga events of ${mark.topic}`);
      if (!isStatic)
        problems.push(
          `${where} belongs to a request-scoped provider, but an event arrives outside of requests: make it a singleton`,
        );
      places.set(mark.topic, where);
      sagas.unclaimed.set(mark.topic, (event, about) => {
        const transaction: unknown = about.transaction;
        return ambient.within(transaction as TransactionHandle, transaction, async () => call(event, about));
      });
    }
    if (problems.length > 0)
      throw new ConfigurationError('The handlers of unclaimed saga events are not usable', problems);
  }
}
