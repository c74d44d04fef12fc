import type { SagaState } from '../machine/saga-instance.js';

/** A transition of a saga, as a trace knows it. */
export interface TransitionToTrace {
  readonly id: string;
  readonly type: string;
  /** The step that it is about; else what has happened: `start`, `due`, `signal`. */
  readonly step: string;
  /** What {@link SagaTrace.current} said when the saga was started; undefined for its start. */
  readonly startedIn: string | undefined;
}

/** Follows the transitions of sagas. */
export interface SagaTrace {
  /** Runs a transition. `reached` is to be told the state that it has led to. */
  transition<T>(
    about: TransitionToTrace,
    work: (reached: (state: SagaState) => void) => Promise<T>,
  ): Promise<T>;
  /** The trace that the caller runs in, to be kept with a saga that is started; undefined in none. */
  current(): string | undefined;
}

/** Follows nothing. */
export const noSagaTrace: SagaTrace = {
  transition: (_, work) => work(() => {}),
  current: () => undefined,
};
