import 'reflect-metadata';
import type { Type } from '@nestjs/common';
import { ConfigurationError, isWaybillError } from '@waybill/kernel';
import { assertTopicName } from '@waybill/log/internal';

const METADATA = Symbol.for('waybill.event');

/** How an event of `@nestjs/cqrs` travels through the log. */
export interface WaybillEventOptions<Event extends object = object> {
  /** The message's key: events with the same key are ordered. Default: none. */
  readonly key?: (event: Event) => string | null;
  /** Identifies the class, in the header `event-type`. Default: the name of the class. */
  readonly type?: string;
  /** Creates the event from its payload. Default: an object of the class with the payload's properties; no constructor runs. */
  readonly revive?: (payload: unknown) => Event;
}

/** An event and its route, for a class without {@link WaybillEvent}. */
export interface CqrsEventRoute<Event extends object = object> extends WaybillEventOptions<Event> {
  readonly event: Type<Event>;
  readonly topic: string;
}

/** A route with its defaults filled in. */
export interface ResolvedRoute extends Required<Omit<CqrsEventRoute, 'event'>> {
  readonly event: Type<object>;
}

/**
 * Marks the class of an event that goes through the log when it is published on the event bus; see `WaybillCqrsModule`.
 */
export function WaybillEvent<Event extends object>(
  topic: string,
  options: WaybillEventOptions<Event> = {},
): (event: Type<Event>) => void {
  assertTopicName(topic);
  return (event) => Reflect.defineMetadata(METADATA, { ...options, topic, event }, event);
}

/** @throws ConfigurationError that lists classes without a route, invalid topics and duplicate types */
export function resolveRoutes(events: readonly (Type<object> | CqrsEventRoute)[]): ResolvedRoute[] {
  const problems: string[] = [];
  const taken = new Set<string>();
  const routes: ResolvedRoute[] = [];
  for (const given of events) {
    const route = typeof given === 'function' ? ownRoute(given) : given;
    if (route === undefined) {
      problems.push(`${(given as Type).name} has no @WaybillEvent(topic): add it, or give { event, topic }`);
      continue;
    }
    const { event, topic, type = event.name, key = () => null } = route;
    const {
      // Not by Object.assign, which would let a property called __proto__ choose another class.
      revive = (payload) =>
        Object.create(event.prototype as object, Object.getOwnPropertyDescriptors(Object(payload))) as object,
    } = route;
    if (!isTopicName(topic))
      problems.push(`${event.name} goes to ${JSON.stringify(topic)}, which is not a valid topic name`);
    const name = `${type} of topic ${topic}`;
    if (taken.has(name)) problems.push(`two events have the type ${name}: give one of them another type`);
    taken.add(name);
    routes.push({ event, topic, type, key, revive });
  }
  if (problems.length > 0)
    throw new ConfigurationError('The events of WaybillCqrsModule are not usable', problems);
  return routes;
}

function ownRoute(event: Type<object>): CqrsEventRoute | undefined {
  return Reflect.getOwnMetadata(METADATA, event) as CqrsEventRoute | undefined;
}

function isTopicName(topic: string): boolean {
  try {
    assertTopicName(topic);
    return true;
  } catch (error) {
    if (!isWaybillError(error)) throw error;
    return false;
  }
}
