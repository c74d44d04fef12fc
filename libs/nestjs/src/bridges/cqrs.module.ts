import { type DynamicModule, Injectable, Module, type OnModuleInit, type Type } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, ModuleRef } from '@nestjs/core';
import type { SubscriptionOptions } from '@waybill/consumer';
import { ConfigurationError, type Given, type Resolved, resolveOptions } from '@waybill/kernel';
import { flag } from '@waybill/kernel/internal';
import { getWaybillToken } from '../injection/waybill-token.js';
import { DEFAULT_NAME } from '../options/instance-name.js';
import { Waybill } from '../instance/waybill.js';
import type { WaybillContext } from '../handler/waybill-context.js';
import { WaybillServer } from '../server/waybill-server.js';
import {
  type CommandBusLike,
  type EventBusLike,
  EVENTS_HANDLER_METADATA,
  type EventsHandlerLike,
} from './cqrs-buses.js';
import { CqrsDispatch } from './cqrs-dispatch.js';
import { type CqrsEventRoute, type ResolvedRoute, resolveRoutes } from './cqrs-event.js';
import { EVENT_TYPE_HEADER, OutboxEventPublisher } from './cqrs-publisher.js';

const SPECS = {
  /** Whether this process passes events from the log to its event handlers and sagas. */
  receive: flag(true),
  /**
   * Whether an event is refused when there is no transaction to join; otherwise it is published in its own transaction.
   */
  requireTransaction: flag(true),
};

/** Options of {@link WaybillCqrsModule}. */
export type WaybillCqrsOptions = Given<typeof SPECS> & {
  /** The class `EventBus` of `@nestjs/cqrs`. */
  readonly eventBus: Type<EventBusLike>;
  /** The class `CommandBus` of `@nestjs/cqrs`. */
  readonly commandBus: Type<CommandBusLike>;
  /** Events that go through the log: classes with `@WaybillEvent`, or routes. All others stay local. */
  readonly events: readonly (Type<object> | CqrsEventRoute)[];
  /** How events from the log are handled: retries and concurrency. */
  readonly handlers?: SubscriptionOptions;
  /** The instance of Waybill, if an application has several. */
  readonly name?: string;
};

/**
 * Connects the event bus of `@nestjs/cqrs` to the log: chosen events are published through the outbox, in the current
 * transaction, and come back from the log to the `@EventsHandler`s and `@Saga()`s of every service that imports this
 * module. An event is done when all its handlers and the commands that sagas returned synchronously are done.
 */
@Module({})
export class WaybillCqrsModule {
  /** @throws ConfigurationError */
  static forRoot({
    eventBus,
    commandBus,
    events,
    handlers,
    name = DEFAULT_NAME,
    ...rest
  }: WaybillCqrsOptions): DynamicModule {
    const options = resolveOptions('WaybillCqrsModule', SPECS, rest);
    const routes = resolveRoutes(events);
    return {
      module: WaybillCqrsModule,
      imports: [DiscoveryModule],
      providers: [
        {
          provide: CqrsBridge,
          inject: [
            getWaybillToken(Waybill, name),
            getWaybillToken(WaybillServer, name),
            DiscoveryService,
            ModuleRef,
          ],
          useFactory: (
            waybill: Waybill,
            server: WaybillServer,
            discovery: DiscoveryService,
            modules: ModuleRef,
          ) =>
            new CqrsBridge({
              waybill,
              server,
              discovery,
              modules,
              eventBus,
              commandBus,
              routes,
              handlers,
              options,
            }),
        },
      ],
    };
  }
}

interface CqrsBridgeDependencies {
  readonly waybill: Waybill;
  readonly server: WaybillServer;
  readonly discovery: DiscoveryService;
  readonly modules: ModuleRef;
  readonly eventBus: Type<EventBusLike>;
  readonly commandBus: Type<CommandBusLike>;
  readonly routes: readonly ResolvedRoute[];
  readonly handlers: SubscriptionOptions | undefined;
  readonly options: Resolved<typeof SPECS>;
}

/** Connects the event bus with the log. */
@Injectable()
class CqrsBridge implements OnModuleInit {
  readonly #dispatch = new CqrsDispatch();
  /** The bus, once its handlers and sagas are registered: an event that arrives earlier waits. */
  readonly #ready: Promise<EventBusLike>;
  #isReady: (bus: EventBusLike) => void = () => {};

  constructor(private readonly dependencies: CqrsBridgeDependencies) {
    const { routes, server, handlers, options } = dependencies;
    this.#ready = new Promise((resolve) => (this.#isReady = resolve));
    if (!options.receive) return;
    for (const topic of new Set(routes.map((route) => route.topic)))
      server.addHandler(
        topic,
        async (payload: unknown, context: WaybillContext) => this.#receive(topic, payload, context),
        true,
        { ...handlers },
      );
  }

  /** @throws ConfigurationError for handlers that cannot be awaited */
  onModuleInit(): void {
    const { modules, waybill, routes, options, eventBus, commandBus } = this.dependencies;
    const bus = modules.get(eventBus, { strict: false });
    bus.publisher = new OutboxEventPublisher(waybill, routes, bus.publisher, options.requireTransaction);
    if (!options.receive) return;
    this.#watchHandlers();
    this.#dispatch.watchCommands(modules.get(commandBus, { strict: false }));
    const registerSagas = bus.registerSagas.bind(bus);
    bus.registerSagas = (wrappers) => {
      registerSagas(wrappers);
      this.#isReady(bus);
    };
  }

  #watchHandlers(): void {
    const events = new Set(this.dependencies.routes.map(({ event }) => event));
    const problems: string[] = [];
    for (const wrapper of this.dependencies.discovery.getProviders()) {
      const { metatype } = wrapper;
      if (typeof metatype !== 'function') continue;
      const handled = Reflect.getMetadata(EVENTS_HANDLER_METADATA, metatype) as Type<object>[] | undefined;
      if (handled?.some((event) => events.has(event)) !== true) continue;
      if (wrapper.isDependencyTreeStatic())
        this.#dispatch.watchHandler(wrapper.instance as EventsHandlerLike);
      else
        problems.push(
          `${metatype.name} is request-scoped, so events from the log cannot wait for it: make it a singleton`,
        );
    }
    if (problems.length > 0)
      throw new ConfigurationError('The event handlers cannot handle events from the log', problems);
  }

  async #receive(topic: string, payload: unknown, { headers }: WaybillContext): Promise<void> {
    const bus = await this.#ready;
    const type = headers[EVENT_TYPE_HEADER];
    const route = this.dependencies.routes.find(
      (candidate) => candidate.topic === topic && candidate.type === type,
    );
    // Another service may publish events to this topic that this one does not know.
    if (route === undefined) return;
    await this.#dispatch.dispatch(bus, route.revive(payload));
  }
}
