import 'reflect-metadata';
import { type DiscoveryService, MetadataScanner } from '@nestjs/core';
import {
  PATTERN_HANDLER_METADATA,
  PATTERN_METADATA,
  TRANSPORT_METADATA,
} from '@nestjs/microservices/constants.js';
import { jsonCodec } from '@waybill/outbox';
import { waybillTransport } from '../tokens.js';
import type { Waybill } from '../waybill.js';
import {
  type AsyncApiDocument,
  asyncApiDocument,
  type AsyncApiInfo,
  type DescribedHandler,
} from './async-api-document.js';

/** Nest's mark of a handler that answers, in its metadata. */
const ANSWERS = 1;

/**
 * Describes what a service takes and publishes as AsyncAPI 3.0: its handlers, and the topics and schemas of the module.
 * It looks at classes only, so that neither databases nor a started application are needed.
 */
export class WaybillAsyncApi {
  #info: AsyncApiInfo = {};

  constructor(
    private readonly waybill: Waybill,
    private readonly discovery: DiscoveryService,
  ) {}

  /** Says of every document from now on what it is about. */
  describe(info: AsyncApiInfo): void {
    this.#info = { ...this.#info, ...info };
  }

  /** The document as it stands now. */
  document(info: AsyncApiInfo = {}): AsyncApiDocument {
    const { contracts, options, name, wantedTopics } = this.waybill;
    const handlers = this.#handlers();
    const handled = new Set(handlers.map(({ pattern }) => pattern));
    const known = new Set([...wantedTopics.list().map(([topic]) => topic), ...contracts.topics()]);
    return asyncApiDocument({
      title: options.group ?? name,
      publishes: [...known].filter((topic) => !handled.has(topic)).toSorted((a, b) => (a < b ? -1 : 1)),
      ...this.#info,
      ...info,
      handlers,
      contractOf: (topic) => contracts.find(topic),
      contentTypeOf: (topic) => (options.codecs?.[topic] ?? jsonCodec).contentType,
    });
  }

  #handlers(): DescribedHandler[] {
    const scanner = new MetadataScanner();
    return this.discovery.getControllers().flatMap(({ metatype }) => {
      const prototype = metatype?.prototype as Record<string, object> | undefined;
      if (prototype === undefined) return [];
      return scanner
        .getAllMethodNames(prototype)
        .flatMap((method) => this.#handlersOf(prototype[method] as object, `${metatype?.name}.${method}`));
    });
  }

  #handlersOf(method: object, where: string): DescribedHandler[] {
    const patterns = (Reflect.getMetadata(PATTERN_METADATA, method) ?? []) as readonly unknown[];
    const transport = Reflect.getMetadata(TRANSPORT_METADATA, method) as unknown;
    if (transport !== undefined && transport !== waybillTransport(this.waybill.name)) return [];
    const answers = Reflect.getMetadata(PATTERN_HANDLER_METADATA, method) === ANSWERS;
    return patterns.flatMap((pattern) => (typeof pattern === 'string' ? [{ pattern, where, answers }] : []));
  }
}
