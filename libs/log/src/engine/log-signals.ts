import type { Bell } from '@waybill/kernel';

/** Kinds of signals: records were appended, a group's assignment changed, dead letters were decided, a topic was created. */
export type Signal = 'appended' | 'group' | 'redrive' | 'topics';

/** Called with each note that is received. */
export type NoteListener = (note: string) => void;

/** Short messages to every process that is listening; each is only a hint, and may be lost. */
export interface LogNotes {
  /** Calls `listener` with every note, from this process and others. */
  onNote(listener: NoteListener): void;
  /** Notifies this process immediately, and the others soon. Never throws; need not be awaited. */
  send(note: string): void;
}

/**
 * Wakes the loops that wait for the log: in this process immediately, in other processes soon. Every waiter polls as
 * well: a lost signal costs only a short delay.
 */
export interface LogSignals {
  /** Short notes to all processes, in addition to the signals. */
  readonly notes: LogNotes;
  /** Whether signals of other processes have proven to be received; without them the log is polled. */
  readonly listening: boolean;
  /** Starts to listen to other processes, and to send to them. */
  start(): void;
  stop(): Promise<void>;
  /** Rings `bell` at every signal of this kind; returns a function that removes it. */
  subscribe(signal: Signal, bell: Bell): () => void;
  /** Signals this process, and all others once started. Never throws; need not be awaited. */
  send(signal: Signal): void;
}
