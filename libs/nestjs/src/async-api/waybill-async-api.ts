import { own } from '@waybill/kernel/internal';
import type { DiscoveryService } from '@nestjs/core';
import { jsonCodec } from '@waybill/outbox';
import { declaredPatterns } from '../discovery/declared-patterns.js';
import type { Waybill } from '../instance/waybill.js';
import { type AsyncApiDocument, asyncApiDocument, type AsyncApiInfo } from './async-api-document.js';

/**
 * Describes what a service handles and publishes as AsyncAPI 3.0: its handlers, and the topics and schemas of the
 * module. It inspects classes only, so it needs neither databases nor a started application.
 */
export class WaybillAsyncApi {
  #info: AsyncApiInfo = {};

  constructor(
    private readonly waybill: Waybill,
    private readonly discovery: DiscoveryService,
  ) {}

  /** Sets the general information of all further documents. */
  describe(info: AsyncApiInfo): void {
    this.#info = { ...this.#info, ...info };
  }

  /** The current document. */
  document(info: AsyncApiInfo = {}): AsyncApiDocument {
    const { contracts, options, name, wantedTopics } = this.waybill;
    const handlers = declaredPatterns(this.discovery, name);
    const handled = new Set(handlers.map(({ pattern }) => pattern));
    const known = new Set([...wantedTopics.list().map(([topic]) => topic), ...contracts.topics()]);
    return asyncApiDocument({
      title: options.group ?? name,
      publishes: [...known].filter((topic) => !handled.has(topic)).toSorted((a, b) => (a < b ? -1 : 1)),
      ...this.#info,
      ...info,
      handlers,
      contractOf: (topic) => contracts.find(topic),
      contentTypeOf: (topic) => (own(options.codecs, topic) ?? jsonCodec).contentType,
    });
  }
}
