import { ConfigurationError } from '@waybill/kernel';
import { SagaVersionUnknownError } from '../errors/saga-errors.js';
import { fingerprintOf } from './fingerprint.js';
import { callsOf } from './http-command.js';
import type { HttpCall } from './saga-command.js';
import type { SagaDefinition } from './saga-definition.js';
import type { SagaStartRule } from './saga-start.js';
import { commandsOf } from './sent-commands.js';

/** A step at which sagas of a type, in any version, wait for an event. */
export interface EventWaiter {
  readonly type: string;
  readonly step: string;
  /** The part of the event that identifies its saga. Undefined: the message key. */
  readonly by: ((event: unknown) => unknown) | undefined;
}

/** The definitions that a process knows: every version of every type. */
export class SagaDefinitions {
  readonly #byType = new Map<string, Map<number, SagaDefinition>>();
  readonly #starts: SagaStartRule[] = [];

  /** @throws ConfigurationError for a second definition of one type and version */
  constructor(definitions: Iterable<SagaDefinition> = []) {
    for (const definition of definitions) this.add(definition);
  }

  /** @throws ConfigurationError for a second definition of one type and version */
  add(definition: SagaDefinition): void {
    const { type, version } = definition;
    const versions = this.#byType.get(type) ?? new Map<number, SagaDefinition>();
    if (versions.has(version))
      throw new ConfigurationError('The sagas are not usable', [
        `version ${version} of ${type} is defined twice`,
      ]);
    versions.set(version, definition);
    this.#byType.set(type, versions);
  }

  /** @throws ConfigurationError when the topic starts another version of its type already */
  addStart(rule: SagaStartRule): void {
    const { topic, definition } = rule;
    const other = this.startsOf(topic).find(
      (start) => start.definition.type === definition.type && start.definition.version !== definition.version,
    );
    if (other !== undefined)
      throw new ConfigurationError('The sagas are not usable', [
        `${topic} starts version ${other.definition.version} and version ${definition.version} of ${definition.type}: only one may`,
      ]);
    this.#starts.push(rule);
  }

  /** The definitions that events of a topic start. */
  startsOf(topic: string): readonly SagaStartRule[] {
    return this.#starts.filter((rule) => rule.topic === topic);
  }

  get size(): number {
    return this.#byType.size;
  }

  /** Every definition. */
  *[Symbol.iterator](): IterableIterator<SagaDefinition> {
    for (const versions of this.#byType.values()) yield* versions.values();
  }

  find(type: string, version: number): SagaDefinition | undefined {
    return this.#byType.get(type)?.get(version);
  }

  /** @throws SagaVersionUnknownError */
  get(type: string, version: number): SagaDefinition {
    const definition = this.find(type, version);
    if (definition === undefined) {
      throw new SagaVersionUnknownError(type, version, [...(this.#byType.get(type)?.keys() ?? [])]);
    }
    return definition;
  }

  /** Finds a definition by its {@link definitionName}. */
  named(name: string): SagaDefinition | undefined {
    return [...this].find((definition) => definitionName(definition) === name);
  }

  /** All HTTP calls that they make. */
  calls(): HttpCall[] {
    return [...this].flatMap((definition) => callsOf(definition));
  }

  /** The topics of other services that start sagas, or that steps wait for. */
  eventTopics(): string[] {
    const topics = new Set(this.#starts.map(({ topic }) => topic));
    for (const { steps } of this)
      for (const { forward } of steps) if (forward.kind === 'event') topics.add(forward.topic);
    return [...topics];
  }

  /** The steps that wait for events of a topic, each once; when versions differ, the newest decides what is compared. */
  waitersOf(topic: string): EventWaiter[] {
    return [...this.#byType].flatMap(([type, versions]) => {
      const waiters = new Map<string, EventWaiter>();
      for (const [, { steps }] of [...versions].toSorted(([one], [other]) => one - other))
        for (const { name, forward } of steps)
          if (forward.kind === 'event' && forward.topic === topic)
            waiters.set(name, { type, step: name, by: forward.by });
      return [...waiters.values()];
    });
  }

  /** The topics that their commands go to. */
  topics(): string[] {
    const topics = new Set<string>();
    for (const definition of this)
      for (const { topic, url } of commandsOf(definition)) if (url === undefined) topics.add(topic);
    return [...topics];
  }
}

/** The name of a definition with its fingerprint: `type@version@fingerprint`. */
export function definitionName(definition: SagaDefinition): string {
  return `${definition.type}@${definition.version}@${fingerprintOf(definition)}`;
}

/** The signals that steps of a definition wait for. */
export function signalsOf({ steps }: SagaDefinition): string[] {
  const names = steps.flatMap(({ forward }) => (forward.kind === 'signal' ? forward.signal : []));
  return [...new Set(names)];
}
