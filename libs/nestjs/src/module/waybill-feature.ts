import type { DynamicModule, Provider, Type } from '@nestjs/common';
import { ConfigurationError, isWaybillError } from '@waybill/kernel';
import { unknownName } from '@waybill/kernel/internal';
import { type TopicOptions } from '@waybill/log';
import { assertTopicName } from '@waybill/log/internal';
import { type TopicSchemas } from '@waybill/outbox';
import { topicSchemasProblems } from '@waybill/outbox/internal';
import { getWaybillToken } from '../injection/waybill-token.js';
import { Waybill } from '../instance/waybill.js';
import { DEFAULT_NAME } from '../options/instance-name.js';

/** What a feature module adds to an instance; see {@link WaybillModule.forFeature}. */
export interface WaybillFeature {
  /** The instance. Default `default`. */
  readonly name?: string;
  /** Topics to create at start if they are missing. Several features may name the same topic if its options agree. */
  readonly topics?: Readonly<Record<string, TopicOptions>>;
  /** Schemas by topic. Several features may name the same topic with the same schema. */
  readonly schemas?: TopicSchemas;
  /** Classes with `@Saga()`; they are provided and exported by the feature's module. */
  readonly sagas?: readonly Type[];
}

const KNOWN: Readonly<Record<keyof WaybillFeature, true>> = {
  name: true,
  topics: true,
  schemas: true,
  sagas: true,
};

/** @throws ConfigurationError that lists every problem */
export function featureModule(module: Type, feature: WaybillFeature): DynamicModule {
  assertFeature(feature);
  const { name = DEFAULT_NAME, topics = {}, schemas = {}, sagas = [] } = feature;
  // A separate token: Nest creates a module for each call, and each of them must be registered.
  const added: Provider = {
    provide: Symbol('waybill.feature'),
    inject: [getWaybillToken(Waybill, name)],
    useFactory: (waybill: Waybill) => {
      waybill.wantedTopics.add(topics);
      waybill.contracts.add(schemas);
    },
  };
  return { module, providers: [added, ...sagas], exports: [...sagas] };
}

function assertFeature(feature: WaybillFeature): void {
  const problems: string[] = [];
  for (const name of Object.keys(feature))
    if (!Object.hasOwn(KNOWN, name)) problems.push(unknownName(name, Object.keys(KNOWN)));
  for (const topic of Object.keys(feature.topics ?? {})) problems.push(...topicProblems(topic));
  if (feature.schemas !== undefined) problems.push(...topicSchemasProblems(feature.schemas));
  for (const saga of feature.sagas ?? [])
    if (typeof saga !== 'function') problems.push(`sagas must be classes with @Saga(), got ${typeof saga}`);
  if (problems.length > 0)
    throw new ConfigurationError('The options of WaybillModule.forFeature are not usable', problems);
}

function topicProblems(topic: string): string[] {
  try {
    assertTopicName(topic);
    return [];
  } catch (error) {
    if (!isWaybillError(error)) throw error;
    return [error.message.replace(/\.$/, '')];
  }
}
