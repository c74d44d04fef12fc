import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { DiscoveryService } from '@nestjs/core';
import { describeError, systemClock } from '@waybill/kernel';
import { type DeclaredPattern, declaredPatterns, handlersOfProviders } from './declared-patterns.js';
import { missingTopics } from './missing-topics.js';
import { SubscriberWatch } from './subscriber-watch.js';
import { DEFAULT_NAME } from '../options/instance-name.js';
import type { Waybill } from '../instance/waybill.js';
import type { WaybillServer } from '../server/waybill-server.js';

/** How long an application has to connect and start its microservices after its own start. */
const GRACE_MS = 2_000;
const SHOWN = 5;

/** Warns once, soon after the start, of mistakes that are otherwise silent: nothing would be handled. */
@Injectable()
export class StartWarnings implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #abort = new AbortController();
  readonly #watch: SubscriberWatch;

  constructor(
    private readonly waybill: Waybill,
    private readonly discovery: DiscoveryService,
    private readonly server: WaybillServer,
  ) {
    this.#watch = new SubscriberWatch(waybill.bus.session, waybill.logger);
  }

  onApplicationBootstrap(): void {
    const { name, logger, relay } = this.waybill;
    const strays = handlersOfProviders(this.discovery, name);
    if (strays.length > 0)
      logger.warn(
        `${listOf(strays)}: Nest binds only handlers of controllers, but these are providers. List their classes in ` +
          '`controllers` of a module instead.',
      );
    if (relay !== undefined) this.#watch.start();
    void this.#look();
  }

  async onModuleDestroy(): Promise<void> {
    this.#abort.abort();
    await this.#watch.stop();
  }

  async #look(): Promise<void> {
    await systemClock.sleep(GRACE_MS, this.#abort.signal);
    if (this.#abort.signal.aborted) return;
    const { logger, options, topics, name } = this.waybill;
    if (options.consumer === false) return;
    const handlers = declaredPatterns(this.discovery, name);
    const warning = this.#warning(handlers);
    if (warning !== undefined) logger.warn(warning);
    if (!this.server.isListening) return;
    try {
      const names = (await topics.list()).map((topic) => topic.name);
      for (const missing of missingTopics(handlers, names)) logger.warn(missing);
    } catch (error) {
      logger.debug(`could not look up the topics of the handlers: ${describeError(error)}`);
    }
  }

  /** What keeps this process from consuming or from stopping in order. */
  #warning(handlers: readonly DeclaredPattern[]): string | undefined {
    const { name, sagas } = this.waybill;
    const { handlerCount, isListening } = this.server;
    const what = [
      ...(handlers.length > 0 ? [listOf(handlers)] : []),
      ...(sagas.definitions.size > 0 ? [`${sagas.definitions.size} sagas`] : []),
    ].join(' and ');
    if (isListening) {
      if (what === '')
        return 'WaybillServer was started, but the application has no handlers for it. Is a controller missing from `controllers` of its module?';
      return process.listenerCount('SIGTERM') > 0
        ? undefined
        : 'SIGTERM will end this process without stopping Waybill: its partitions then wait until the lease expires. ' +
            'Call app.enableShutdownHooks().';
    }
    if (what === '') return undefined;
    const call =
      handlerCount > 0
        ? 'await app.startAllMicroservices(), or app.listen() of a microservice'
        : connecting(name);
    return `this process has ${what} but does not consume. Call ${call}, or set consumer: false if another process consumes.`;
  }
}

function listOf(handlers: readonly { readonly where: string; readonly pattern: string }[]): string {
  const shown = handlers.slice(0, SHOWN).map(({ where, pattern }) => `${where} (${pattern})`);
  const more = handlers.length > SHOWN ? ` and ${handlers.length - SHOWN} more` : '';
  return `${handlers.length === 1 ? 'handler' : 'handlers'} ${shown.join(', ')}${more}`;
}

function connecting(instance: string): string {
  const token = instance === DEFAULT_NAME ? 'WaybillServer' : `getWaybillToken(WaybillServer, '${instance}')`;
  return `app.connectMicroservice({ strategy: app.get(${token}) }, { inheritAppConfig: true }), then await app.startAllMicroservices()`;
}
