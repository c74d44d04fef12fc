import { Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { ConfigurationError } from '@waybill/kernel';
import type { TransactionHandle } from '@waybill/outbox';
import type { UnclaimedHandler } from '@waybill/saga';
import type { Waybill } from '../instance/waybill.js';
import { DEFAULT_NAME } from '../options/instance-name.js';
import { type UnclaimedTopic, unclaimedTopicOf } from '../sagas/saga-not-found.js';
import { markedMethods } from './marked-methods.js';

/** Finds the handlers of events without a saga, for the instance of Waybill that they are for. */
@Injectable()
export class SagaNotFoundFinder {
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
    for (const { mark, where, isStatic, call } of markedMethods<UnclaimedTopic, UnclaimedHandler>(
      this.discovery,
      unclaimedTopicOf,
    )) {
      if ((mark.name ?? DEFAULT_NAME) !== name) continue;
      const other = places.get(mark.topic);
      if (other !== undefined)
        problems.push(`${other} and ${where} both handle events of ${mark.topic} without a saga`);
      if (!isStatic)
        problems.push(`${where} belongs to a request-scoped provider, and an event has no request`);
      places.set(mark.topic, where);
      sagas.unclaimed.set(mark.topic, (event, about) => {
        const transaction: unknown = about.transaction;
        return ambient.within(transaction as TransactionHandle, transaction, async () => call(event, about));
      });
    }
    if (problems.length > 0)
      throw new ConfigurationError('The handlers of events without a saga are not usable', problems);
  }
}
