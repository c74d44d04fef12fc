import 'reflect-metadata';
import type { CheckBack } from '@waybill/half-message';
import { assertTopicName } from '@waybill/log/internal';

const METADATA = Symbol.for('waybill.half-message-check');

/** Which half messages a check is for. */
export type HalfMessageCheckTarget =
  /** Those whose messages go to this topic. */
  | string
  | {
      /** All of a producer group for which no topic-specific check exists. */
      readonly group: string;
      /** The instance of Waybill, if an application has several. */
      readonly name?: string;
    }
  | { readonly topic: string; readonly name?: string };

/**
 * Marks a method of a provider as the check-back of half messages: it gets the half message and returns `commit`,
 * `rollback` (final: its local work has not taken effect and never will) or `unknown`. If it throws, the outcome is
 * unknown and it is called again. Any process of the producer group may be asked to check half messages of any other.
 */
export function HalfMessageCheck(
  target: HalfMessageCheckTarget,
): <T extends CheckBack>(
  prototype: object,
  method: string | symbol,
  descriptor: TypedPropertyDescriptor<T>,
) => void {
  if (typeof target === 'string') assertTopicName(target);
  else if ('topic' in target) assertTopicName(target.topic);
  return (_prototype, _method, descriptor) => {
    Reflect.defineMetadata(METADATA, target, descriptor.value as CheckBack);
  };
}

/** The options of {@link HalfMessageCheck} on a method; undefined if it is not decorated. */
export function checkTargetOf(method: object): Exclude<HalfMessageCheckTarget, string> | undefined {
  const target = Reflect.getMetadata(METADATA, method) as HalfMessageCheckTarget | undefined;
  return typeof target === 'string' ? { topic: target } : target;
}
