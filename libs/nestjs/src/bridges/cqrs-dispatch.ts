import { AsyncLocalStorage } from 'node:async_hooks';
import type { CommandBusLike, EventBusLike, EventsHandlerLike } from './cqrs-buses.js';

/** An event that is being dispatched, and the work that it has started. */
interface Dispatch {
  readonly event: object;
  readonly begun: Promise<unknown>[];
  /** True while the bus calls its listeners. */
  isCalling: boolean;
}

/**
 * Dispatches events on the local bus and knows when all the work that they started is done; the bus itself does not
 * wait. To do so, it observes `handle` of event handlers and `execute` of the command bus, without changing what they
 * do.
 */
export class CqrsDispatch {
  readonly #current = new AsyncLocalStorage<Dispatch>();

  /**
   * Calls every handler and saga of the event.
   * @returns when the handlers are done, and the commands that sagas returned synchronously are done
   * @throws the first failure, once all have ended
   */
  async dispatch(bus: EventBusLike, event: object): Promise<void> {
    const dispatch: Dispatch = { event, begun: [], isCalling: true };
    this.#current.run(dispatch, () => bus.subject$.next(event));
    dispatch.isCalling = false;
    const outcomes = await Promise.allSettled(dispatch.begun);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  /** Observes an event handler. */
  watchHandler(handler: EventsHandlerLike): void {
    const handle = handler.handle.bind(handler);
    handler.handle = (event) => {
      const dispatch = this.#current.getStore();
      if (dispatch?.isCalling !== true || dispatch.event !== event) return handle(event);
      // The handler itself awaits the commands that it runs.
      dispatch.isCalling = false;
      try {
        return begin(dispatch, () => handle(event));
      } finally {
        dispatch.isCalling = true;
      }
    };
  }

  /** Observes the commands that sagas return for an event. */
  watchCommands(bus: CommandBusLike): void {
    const execute = bus.execute.bind(bus);
    bus.execute = (command, context) => {
      const dispatch = this.#current.getStore();
      if (dispatch?.isCalling !== true) return execute(command, context);
      return begin(dispatch, () => execute(command, context));
    };
  }
}

function begin<T>({ begun }: Dispatch, work: () => T): T {
  try {
    const result = work();
    begun.push(Promise.resolve(result));
    return result;
  } catch (error) {
    begun.push(Promise.reject(error as Error));
    throw error;
  }
}
