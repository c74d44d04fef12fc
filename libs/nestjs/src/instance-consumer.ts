import { Consumer, type ConsumerParts } from '@waybill/consumer';
import type { Tracing } from './tracing/tracing.js';
import type { WaybillModuleOptions } from './waybill-options.js';

/** What the consumer of an instance works with, beside what its options say. */
export interface InstanceConsumerParts extends Omit<ConsumerParts, 'codecs' | 'onSettled' | 'patterns'> {
  readonly options: WaybillModuleOptions;
  readonly tracing: Tracing;
  readonly patterns: NonNullable<ConsumerParts['patterns']>;
}

/** The consumer of an instance. @throws ConfigurationError */
export function instanceConsumer({ options, tracing, ...parts }: InstanceConsumerParts): Consumer {
  return new Consumer(
    {
      ...parts,
      subscriptions: parts.subscriptions.map(tracing.subscription),
      patterns: parts.patterns.map(tracing.pattern),
      onSettled: tracing.settled,
      codecs: options.codecs,
    },
    {
      preparedStatements: options.outbox?.preparedStatements,
      ...(typeof options.consumer === 'object' ? options.consumer : {}),
    },
  );
}
