/** Publishes the events of an event bus. */
export interface EventPublisherLike {
  publish(event: object, dispatcherContext?: unknown, asyncContext?: unknown): unknown;
  publishAll?(events: object[], dispatcherContext?: unknown, asyncContext?: unknown): unknown;
}

/** The part of `EventBus` of `@nestjs/cqrs` that is used. */
export interface EventBusLike {
  get publisher(): EventPublisherLike;
  set publisher(publisher: EventPublisherLike);
  /** The stream that event handlers and sagas listen to. */
  readonly subject$: { next(event: object): void };
  /** Called once the handlers are registered. */
  registerSagas(wrappers?: unknown[]): void;
}

/** The part of `CommandBus` of `@nestjs/cqrs` that is used. */
export interface CommandBusLike {
  execute(command: object, context?: unknown): Promise<unknown>;
}

/** An `@EventsHandler` of `@nestjs/cqrs`. */
export interface EventsHandlerLike {
  handle(event: object): unknown;
}

/** Where `@EventsHandler` of `@nestjs/cqrs` keeps the classes of its events. */
export const EVENTS_HANDLER_METADATA = '__eventsHandler__';
