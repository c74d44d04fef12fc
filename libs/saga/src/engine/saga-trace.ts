import type { SagaState } from '../machine/saga-instance.js';

/** A transition of a saga, for tracing. */
export interface TransitionToTrace {
  readonly id: string;
  readonly type: string;
  /** The step concerned, or what happened: `start`, `due`, `signal`. */
  readonly step: string;
  /** The value of {@link SagaTrace.current} when the saga was started; undefined for its start. */
  readonly startedIn: string | undefined;
}

/** Traces the transitions of sagas. */
export interface SagaTrace {
  /** Runs a transition. The work calls `reached` with the new state. */
  transition<T>(
    about: TransitionToTrace,
    work: (reached: (state: SagaState) => void) => Promise<T>,
  ): Promise<T>;
  /** The trace that the caller runs in, stored with a saga that it starts; undefined outside a trace. */
  current(): string | undefined;
}

/** Traces nothing. */
export const noSagaTrace: SagaTrace = {
  transition: (_, work) => work(() => {}),
  current: () => undefined,
};
