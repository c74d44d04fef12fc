import { ConfigurationError } from '@waybill/kernel';
import { unknownName } from '@waybill/kernel/internal';
import type { Message } from '../message.js';

/** How messages are published as CloudEvents 1.0 (binary mode, headers as in the Kafka binding). */
export interface CloudEventOptions {
  /** The publisher, a URI or a path: `/shop/orders`. With the message's id it identifies the event globally. */
  readonly source: string;
  /** Default: the topic. */
  readonly type?: (message: Message) => string;
}

/** A message as a CloudEvent 1.0. */
export interface CloudEvent<T = unknown> {
  readonly specversion: string;
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly time: string | undefined;
  readonly subject: string | undefined;
  readonly datacontenttype: string | undefined;
  readonly dataschema: string | undefined;
  /** All other attributes, without the prefix `ce_`. */
  readonly extensions: Readonly<Record<string, string>>;
  readonly data: T;
}

/** The input of {@link cloudEventOf}: a delivery, or a handler's context with its payload. */
export interface CloudEventCarrier {
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: unknown;
}

/** Further values for a message's attributes. */
export interface CloudEventFacts {
  /** Undefined for a template, whose messages each get their own id and time. */
  readonly id: string | undefined;
  readonly contentType: string;
  readonly dataschema: string | undefined;
}

const PREFIX = 'ce_';
const KNOWN: Readonly<Record<keyof CloudEventOptions, true>> = { source: true, type: true };

/** @throws ConfigurationError listing every problem */
export function assertCloudEventOptions(options: CloudEventOptions): void {
  const problems = cloudEventProblems(options);
  if (problems.length > 0) throw new ConfigurationError('The option cloudEvents is not usable', problems);
}

/** All problems of the option, one sentence each. */
export function cloudEventProblems(options: CloudEventOptions): string[] {
  if (typeof options !== 'object' || options === null)
    return ["cloudEvents must be { source: '/shop/orders' }"];
  const problems = Object.keys(options)
    .filter((name) => !Object.hasOwn(KNOWN, name))
    .map((name) => `cloudEvents: ${unknownName(name, Object.keys(KNOWN))}`);
  if (typeof options.source !== 'string' || !/^[\x21-\x7e]{1,2000}$/.test(options.source))
    problems.push('cloudEvents.source must be a URI or a path, e.g. /shop/orders');
  if (options.type !== undefined && typeof options.type !== 'function')
    problems.push('cloudEvents.type must be a function of the message');
  return problems;
}

/** The attributes of a message as headers. The time is that of publishing, by this process's clock. */
export function cloudEventHeaders(
  message: Message,
  { source, type }: CloudEventOptions,
  { id, contentType, dataschema }: CloudEventFacts,
): Record<string, string> {
  return {
    ce_specversion: '1.0',
    ...(id === undefined ? {} : { ce_id: id, ce_time: new Date().toISOString() }),
    ce_type: type?.(message) ?? message.topic,
    ce_source: source,
    'content-type': contentType,
    ...(dataschema === undefined ? {} : { ce_dataschema: dataschema }),
  };
}

/** A message in binary mode as a CloudEvent; undefined if it is not one. Structured mode is not supported. */
export function cloudEventOf<T = unknown>({
  headers,
  payload,
}: CloudEventCarrier): CloudEvent<T> | undefined {
  const { specversion, id, source, type, time, subject, dataschema, ...rest } = attributesOf(headers);
  if (specversion === undefined || id === undefined || source === undefined || type === undefined)
    return undefined;
  const datacontenttype = headers['content-type'];
  const extensions = rest as Record<string, string>;
  const data = payload as T;
  return { specversion, id, source, type, time, subject, datacontenttype, dataschema, extensions, data };
}

function attributesOf(headers: Readonly<Record<string, string>>): Record<string, string | undefined> {
  const names = Object.keys(headers).filter((name) => name.startsWith(PREFIX));
  return Object.fromEntries(names.map((name) => [name.slice(PREFIX.length), headers[name]]));
}
