import { ConfigurationError } from '@waybill/kernel';
import { unknownName } from '@waybill/kernel/internal';
import { assertTopicName } from '@waybill/log/internal';
import type { SagaDefinition } from './saga-definition.js';

/** How an event of another service starts a saga. */
export interface SagaStartedByOptions<Event, Input extends object> {
  /** The saga's key: a second event with the same key finds the saga of the first and starts nothing. */
  readonly key: (event: Event) => string;
  /** Its initial data. Default: the event. */
  readonly data?: (event: Event) => Input;
  /** Whether the event starts a saga. Default: yes. */
  readonly when?: (event: Event) => boolean;
  /** The person whose data the saga holds. Default: the subject of the event's message. */
  readonly subject?: (event: Event) => string;
}

/** A topic whose events start sagas of a definition. */
export interface SagaStartRule extends SagaStartedByOptions<unknown, object> {
  readonly topic: string;
  readonly definition: SagaDefinition;
}

const FUNCTIONS = ['key', 'data', 'when', 'subject'] as const;

/** Makes the events of a topic start sagas of a definition. @throws ConfigurationError */
export function startedBy<Event, Input extends object>(
  definition: SagaDefinition<Input, never> | SagaDefinition<Input>,
  topic: string,
  options: SagaStartedByOptions<Event, Input>,
): SagaStartRule {
  assertTopicName(topic);
  const given: Readonly<Record<string, unknown>> = { ...options };
  const problems = Object.keys(given).flatMap((name) =>
    FUNCTIONS.includes(name as 'key') ? [] : [unknownName(name, FUNCTIONS)],
  );
  for (const name of FUNCTIONS)
    if (typeof given[name] !== 'function' && (name === 'key' || given[name] !== undefined))
      problems.push(`${name} must be a function of the event`);
  if (problems.length > 0)
    throw new ConfigurationError(`The start of ${definition.type} by ${topic} is not usable`, problems);
  const rule = options as unknown as SagaStartedByOptions<unknown, object>;
  return { ...rule, topic, definition: definition as unknown as SagaDefinition };
}
