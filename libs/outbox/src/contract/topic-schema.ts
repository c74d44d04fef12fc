import { unknownName } from '@waybill/kernel/internal';
import { isStandardSchema, type StandardSchemaV1 } from './standard-schema.js';

/** Turns a payload of one version into one of the next. Synchronous, and without side effects. */
export type Upcaster = { up(payload: unknown): unknown }['up'];

/** The schema of a topic's payloads, with its versions. */
export interface TopicSchema<Schema extends StandardSchemaV1 = StandardSchemaV1> {
  /** A synchronous schema of any library that implements Standard Schema: zod, valibot, arktype … */
  readonly schema: Schema;
  /** From 1; raise it when a formerly valid payload becomes invalid or changes its meaning. Default 1. */
  readonly version?: number;
  /** By the version that each converts to the next: required from `unversioned` up to the one before `version`. */
  readonly upcasters?: { readonly [fromVersion: number]: Upcaster };
  /** The version of messages that state none, and the oldest that is read. Default 1. */
  readonly unversioned?: number;
  /** Where the schema is published; sent with CloudEvents as `ce_dataschema`. */
  readonly uri?: string;
}

/** A topic's schema with its versions, or the schema alone, with version 1. */
export type GivenTopicSchema = TopicSchema | StandardSchemaV1;

/** Schemas by topic. */
export type TopicSchemas = Readonly<Record<string, GivenTopicSchema>>;

type SchemaIn<Given extends GivenTopicSchema> =
  Given extends TopicSchema<infer Schema> ? Schema : Given extends StandardSchemaV1 ? Given : never;
type TypesOf<Given extends GivenTopicSchema> = NonNullable<SchemaIn<Given>['~standard']['types']>;

/** The payload as a handler gets it: the schema's output. */
export type PayloadOf<Given extends GivenTopicSchema> = TypesOf<Given>['output'];
/** The payload as it is published: the schema's input. */
export type PayloadInputOf<Given extends GivenTopicSchema> = TypesOf<Given>['input'];

const KNOWN: Readonly<Record<keyof TopicSchema, true>> = {
  schema: true,
  version: true,
  upcasters: true,
  unversioned: true,
  uri: true,
};
const HIGHEST_VERSION = 999_999;

/** The schema alone as a topic's schema. */
export function topicSchemaOf(given: GivenTopicSchema): TopicSchema {
  return isStandardSchema(given) ? { schema: given } : given;
}

/** All problems of a topic's schema, one sentence each. */
export function topicSchemaProblems(topic: string, given: GivenTopicSchema): string[] {
  const named = (problem: string): string => `the schema of topic ${topic}: ${problem}`;
  if (isStandardSchema(given)) return [];
  if (typeof given !== 'object' || given === null)
    return [named('it must be a Standard Schema, or { schema, version, upcasters }')];
  const problems = Object.keys(given)
    .filter((name) => !Object.hasOwn(KNOWN, name))
    .map((name) => unknownName(name, Object.keys(KNOWN)));
  if (!isStandardSchema(given.schema))
    problems.push('schema must be a Standard Schema (zod, valibot, arktype …)');
  if (given.uri !== undefined && !/^[\x21-\x7e]{1,2000}$/.test(given.uri)) problems.push('uri must be a URI');
  return [...problems, ...versionProblems(given)].map(named);
}

function versionProblems({ version = 1, unversioned = 1, upcasters = {} }: TopicSchema): string[] {
  const problems = Object.entries({ version, unversioned })
    .filter(([, value]) => !Number.isSafeInteger(value) || value < 1 || value > HIGHEST_VERSION)
    .map(
      ([name, value]) => `${name} must be a whole number from 1 to ${HIGHEST_VERSION}, got ${String(value)}`,
    );
  if (problems.length > 0) return problems;
  if (unversioned > version) return [`unversioned (${unversioned}) is newer than version (${version})`];
  for (const [from, upcaster] of Object.entries(upcasters)) {
    if (typeof upcaster !== 'function') problems.push(`its upcaster from ${from} is not a function`);
    if (!/^[1-9]\d*$/.test(from) || Number(from) >= version)
      problems.push(`it has an upcaster from ${from}, which is not a version before ${version}`);
  }
  const missing: number[] = [];
  for (let from = unversioned; from < version; from += 1)
    if (!Object.hasOwn(upcasters, from)) missing.push(from);
  if (missing.length > 0)
    problems.push(
      `it has no upcaster from version ${missing.slice(0, 10).join(', ')}; raise unversioned once no stored message is that old`,
    );
  return problems;
}
