import { dictionary } from '@waybill/kernel/internal';
import { isTopicPattern } from '@waybill/consumer/internal';
import { type PayloadContract } from '@waybill/outbox';
import { SCHEMA_VERSION_HEADER } from '@waybill/outbox/internal';
import type { DeclaredPattern } from '../discovery/declared-patterns.js';
import { type JsonSchema, jsonSchemaOf } from './json-schema.js';

/** Describes the service as a whole. */
export interface AsyncApiInfo {
  /** Default: the group, otherwise the name of the instance. */
  readonly title?: string;
  /** Version of the service's interface. Default `1.0.0`. */
  readonly version?: string;
  readonly description?: string;
  /** Topics that the service publishes to. Default: those of `topics` and `schemas` for which it has no handler. */
  readonly publishes?: readonly string[];
}

/** The input for a document. */
export interface AsyncApiFacts extends AsyncApiInfo {
  readonly title: string;
  readonly handlers: readonly DeclaredPattern[];
  readonly publishes: readonly string[];
  readonly contractOf: (topic: string) => PayloadContract | undefined;
  readonly contentTypeOf: (topic: string) => string;
}

interface Reference {
  readonly $ref: string;
}

interface Channel {
  readonly address: string | null;
  readonly messages: Readonly<Record<string, Reference>>;
  readonly parameters?: Readonly<Record<string, { readonly description: string }>>;
}

interface Operation {
  readonly action: 'receive' | 'send';
  readonly channel: Reference;
  readonly summary?: string;
  readonly reply?: {
    readonly address: { readonly location: string };
    readonly channel: Reference;
  };
}

interface DescribedMessage {
  readonly name: string;
  readonly contentType: string;
  readonly headers?: JsonSchema;
  readonly payload: JsonSchema;
  readonly 'x-schema-version'?: number;
}

/** An AsyncAPI 3.0 document: the part that Waybill writes. */
export interface AsyncApiDocument {
  readonly asyncapi: '3.0.0';
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly defaultContentType: string;
  readonly channels: Readonly<Record<string, Channel>>;
  readonly operations: Readonly<Record<string, Operation>>;
  readonly components: { readonly messages: Readonly<Record<string, DescribedMessage>> };
}

const WORD = { '*': 'one word', '#': 'any number of words separated by dots, or none' } as const;

/**
 * Describes a service's messaging interface: its channels are topics, its operations are its handlers and what it
 * publishes.
 */
export function asyncApiDocument(facts: AsyncApiFacts): AsyncApiDocument {
  const { title, version = '1.0.0', description, handlers, publishes } = facts;
  const channels = dictionary<Channel>();
  const operations = dictionary<Operation>();
  const messages = dictionary<DescribedMessage>();
  const describe = (pattern: string): Reference => {
    const id = idOf(pattern);
    channels[id] ??= channelOf(pattern, id);
    messages[id] ??= messageOf(pattern, id, facts);
    return { $ref: `#/channels/${id}` };
  };
  for (const [pattern, handled] of byPattern(handlers)) {
    const id = idOf(pattern);
    const summary = handled.map(({ where }) => where).join(', ');
    const receive = { action: 'receive', channel: describe(pattern), summary } as const;
    operations[`receive.${id}`] = handled.some(({ replies }) => replies)
      ? { ...receive, reply: replyOf(id, channels, messages) }
      : receive;
  }
  for (const topic of publishes)
    operations[`send.${idOf(topic)}`] = { action: 'send', channel: describe(topic) };
  return {
    asyncapi: '3.0.0',
    info: { title, version, ...(description === undefined ? {} : { description }) },
    defaultContentType: 'application/json',
    channels,
    operations,
    components: { messages },
  };
}

function byPattern(handlers: readonly DeclaredPattern[]): Map<string, DeclaredPattern[]> {
  const found = new Map<string, DeclaredPattern[]>();
  for (const handler of handlers.toSorted((a, b) => (a.pattern < b.pattern ? -1 : 1)))
    found.set(handler.pattern, [...(found.get(handler.pattern) ?? []), handler]);
  return found;
}

/** A topic's name is used as the id. The special characters of patterns cannot occur in ids and are replaced. */
function idOf(pattern: string): string {
  return pattern.replaceAll('*', '-any-').replaceAll('#', '-all-');
}

function channelOf(pattern: string, id: string): Channel {
  const messages = { message: { $ref: `#/components/messages/${id}` } };
  if (!isTopicPattern(pattern)) return { address: pattern, messages };
  const parameters: Record<string, { description: string }> = {};
  const words = pattern.split('.').map((word, index) => {
    if (word !== '*' && word !== '#') return word;
    parameters[`word${index + 1}`] = { description: WORD[word] };
    return `{word${index + 1}}`;
  });
  return { address: words.join('.'), messages, parameters };
}

function messageOf(topic: string, id: string, facts: AsyncApiFacts): DescribedMessage {
  const contract = facts.contractOf(topic);
  const contentType = facts.contentTypeOf(topic);
  if (contract === undefined) return { name: topic, contentType, payload: {} };
  const { version, schema } = contract;
  return {
    name: topic,
    contentType,
    headers: {
      type: 'object',
      properties: { [SCHEMA_VERSION_HEADER]: { type: 'string', description: 'Version of the payload' } },
    },
    payload: jsonSchemaOf(schema, `#/components/messages/${id}/payload`),
    'x-schema-version': version,
  };
}

/** Replies go to the topic that the request names. */
function replyOf(
  id: string,
  channels: Record<string, Channel>,
  messages: Record<string, DescribedMessage>,
): NonNullable<Operation['reply']> {
  const reply = `${id}.reply`;
  messages[reply] = { name: reply, contentType: 'application/json', payload: {} };
  channels[reply] = { address: null, messages: { message: { $ref: `#/components/messages/${reply}` } } };
  return { address: { location: '$message.header#/reply-to' }, channel: { $ref: `#/channels/${reply}` } };
}
