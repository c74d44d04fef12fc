import 'reflect-metadata';
import { assertTopicName } from '@waybill/log/internal';
import type { UnclaimedHandler } from '@waybill/saga';

const METADATA = Symbol.for('waybill.saga-not-found');

/** Options of {@link SagaNotFound}. */
export interface SagaNotFoundOptions {
  /** The instance of Waybill, if an application has several. */
  readonly name?: string;
}

/** The topic and the instance whose unclaimed events a method handles. */
export interface UnclaimedTopic extends SagaNotFoundOptions {
  readonly topic: string;
}

/**
 * Marks a method of a provider or controller as the handler of a topic's events that no saga has claimed within
 * `sagas.events.keepMs`: it gets the event and its details, with the transaction in which it is removed.
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

/** The options of {@link SagaNotFound} on a method; undefined if it is not decorated. */
export function unclaimedTopicOf(method: object): UnclaimedTopic | undefined {
  return Reflect.getMetadata(METADATA, method) as UnclaimedTopic | undefined;
}
