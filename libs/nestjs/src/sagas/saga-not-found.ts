import 'reflect-metadata';
import { assertTopicName } from '@waybill/log/internal';
import type { UnclaimedHandler } from '@waybill/saga';

const METADATA = Symbol.for('waybill.saga-not-found');

/** Options of {@link SagaNotFound}. */
export interface SagaNotFoundOptions {
  /** The instance of Waybill, where an application has several. */
  readonly name?: string;
}

/** A topic, and the instance, whose unclaimed events a method handles. */
export interface UnclaimedTopic extends SagaNotFoundOptions {
  readonly topic: string;
}

/**
 * Marks a method of a provider or controller as the handler of events of a topic that no saga has waited for within
 * `sagas.events.keepMs`: it gets the event, and what is known of it with the transaction in which it is taken out.
 */
export function SagaNotFound(
  topic: string,
  options: SagaNotFoundOptions = {},
): <T extends UnclaimedHandler>(
  prototype: object,
  method: string | symbol,
  descriptor: TypedPropertyDescriptor<T>,
) => void {
  assertTopicName(topic);
  return (_prototype, _method, descriptor) => {
    Reflect.defineMetadata(
      METADATA,
      { ...options, topic } satisfies UnclaimedTopic,
      descriptor.value as object,
    );
  };
}

/** What {@link SagaNotFound} says of a method; undefined where it is not decorated. */
export function unclaimedTopicOf(method: object): UnclaimedTopic | undefined {
  return Reflect.getMetadata(METADATA, method) as UnclaimedTopic | undefined;
}
