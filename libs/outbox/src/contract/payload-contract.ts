import { types } from 'node:util';
import {
  ConfigurationError,
  PayloadInvalidError,
  type PayloadIssue,
  PayloadVersionUnknownError,
  PayloadVersionUnsupportedError,
} from '@waybill/kernel';
import { describeThrown } from '@waybill/kernel/internal';
import type { StandardIssue, StandardResult, StandardSchemaV1 } from './standard-schema.js';
import {
  type GivenTopicSchema,
  type TopicSchema,
  topicSchemaOf,
  topicSchemaProblems,
} from './topic-schema.js';

/** The message's header for the version of its topic's schema that its payload matches. */
export const SCHEMA_VERSION_HEADER = 'schema-version';

/** Longest path shown: its keys come from the payload, and may be anything. */
const PATH_CHARS = 100;

/** The contract for the payloads of one topic: checks published ones, and reads received ones. */
export class PayloadContract {
  readonly schema: StandardSchemaV1;
  readonly version: number;
  /** Where the schema is published. */
  readonly uri: string | undefined;
  readonly #topic: string;
  readonly #oldest: number;
  readonly #upcasters: NonNullable<TopicSchema['upcasters']>;

  /** @throws ConfigurationError listing every problem */
  constructor(topic: string, given: GivenTopicSchema) {
    const problems = topicSchemaProblems(topic, given);
    if (problems.length > 0) throw new ConfigurationError('The schemas of topics are not usable', problems);
    const { schema, version = 1, upcasters = {}, unversioned = 1, uri } = topicSchemaOf(given);
    this.#topic = topic;
    this.schema = schema;
    this.version = version;
    this.uri = uri;
    this.#oldest = unversioned;
    this.#upcasters = upcasters;
  }

  /** Whether two contracts are the same, so that both may be given for a topic. */
  equals(other: PayloadContract): boolean {
    const [mine, others] = [Object.entries(this.#upcasters), other.#upcasters];
    return (
      this.schema === other.schema &&
      this.version === other.version &&
      this.uri === other.uri &&
      this.#oldest === other.#oldest &&
      mine.length === Object.keys(others).length &&
      mine.every(([from, upcaster]) => others[Number(from)] === upcaster)
    );
  }

  /**
   * Checks a payload as a handler would read it, before anything is written.
   * @param what the message and its topic, for errors
   * @throws PayloadInvalidError; ConfigurationError when the schema is asynchronous
   */
  assertFits(payload: unknown, what: string): void {
    this.#validate(payload, what, 'publishing');
  }

  /**
   * The version that a message states.
   * @param header its `schema-version`
   * @throws PayloadVersionUnknownError, PayloadVersionUnsupportedError
   */
  versionOf(header: string | undefined, what: string): number {
    const version = header === undefined ? this.#oldest : /^[1-9]\d{0,8}$/.test(header) ? Number(header) : 0;
    if (version > this.version) throw new PayloadVersionUnknownError(what, version, this.version);
    if (version < this.#oldest) {
      const said = version === 0 ? JSON.stringify(header?.slice(0, 20)) : String(version);
      throw new PayloadVersionUnsupportedError(what, said, this.#oldest, this.version);
    }
    return version;
  }

  /**
   * A payload as its handler gets it: converted to the current version, checked, and with the schema's defaults and
   * conversions.
   * @throws PayloadInvalidError; ConfigurationError when the schema is asynchronous
   */
  read(payload: unknown, version: number, what: string): unknown {
    let current = payload;
    for (let from = version; from < this.version; from += 1) {
      try {
        current = this.#upcasters[from]?.(current);
        if (types.isPromise(current))
          throw asynchronous(this.#topic, `its upcaster from version ${from}`, current);
      } catch (cause) {
        if (cause instanceof ConfigurationError) throw cause;
        throw this.#failed(what, 'handling', `its upcaster from version ${from} threw`, cause);
      }
    }
    return this.#validate(current, what, 'handling');
  }

  #validate(payload: unknown, what: string, when: PayloadInvalidError['when']): unknown {
    let result: StandardResult<unknown> | Promise<StandardResult<unknown>>;
    try {
      result = this.schema['~standard'].validate(payload);
    } catch (cause) {
      throw this.#failed(what, when, 'its schema threw', cause);
    }
    if (types.isPromise(result)) throw asynchronous(this.#topic, 'it', result);
    let issues: readonly PayloadIssue[] | undefined;
    try {
      issues = result.issues?.map(issueOf);
    } catch (cause) {
      throw this.#failed(what, when, 'its schema did not return a result', cause);
    }
    if (issues !== undefined) throw new PayloadInvalidError(what, this.version, { when, issues });
    return (result as { value?: unknown }).value;
  }

  /** The message names the class only: the thrown value may contain values of the payload. */
  #failed(
    what: string,
    when: PayloadInvalidError['when'],
    problem: string,
    cause: unknown,
  ): PayloadInvalidError {
    const { name } = describeThrown(cause);
    return new PayloadInvalidError(what, this.version, { when, problem: `${problem} (${name})`, cause });
  }
}

function asynchronous(topic: string, subject: string, result: Promise<unknown>): ConfigurationError {
  // The promise is not awaited: its failure must not end the process.
  result.catch(() => {});
  return new ConfigurationError(`The schema of topic ${topic} is not usable`, [
    `${subject} returns a Promise, but payloads are checked synchronously: leave asynchronous checks to the handler`,
  ]);
}

function issueOf({ path = [], message }: StandardIssue): PayloadIssue {
  let text = '';
  for (const segment of path) {
    const key = typeof segment === 'object' ? segment.key : segment;
    if (typeof key === 'number') text += `[${key}]`;
    else if (typeof key === 'string' && /^[A-Za-z_$][\w$]*$/.test(key)) text += text === '' ? key : `.${key}`;
    else text += `[${JSON.stringify(String(key))}]`;
  }
  return { path: text.length > PATH_CHARS ? `${text.slice(0, PATH_CHARS)}…` : text, message };
}
