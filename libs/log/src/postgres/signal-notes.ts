import { type Clock, InvariantError } from '@waybill/kernel';
import type { LogNotes, NoteListener } from '../engine/log-signals.js';

/** PostgreSQL's limit for a notification is just under 8,000 bytes. */
const MOST_BYTES = 7_000;
/** The most notes that wait to be sent; the oldest are discarded, since they are only hints. */
const MOST_WAITING = 10_000;
/** Minimum interval between two notifications. */
const DEBOUNCE_MS = 10;

/**
 * Short messages to every process that is listening. A note is a hint: it may be lost, and nothing but time may
 * depend on it. Notes in quick succession are sent together.
 */
export class SignalNotes implements LogNotes {
  readonly #listeners: NoteListener[] = [];
  #waiting: string[] = [];
  #sending: Promise<void> | undefined;

  /** @param notify sends notes to the other processes; may fail */
  constructor(
    private readonly notify: (notes: readonly string[]) => Promise<void>,
    private readonly clock: Clock,
  ) {}

  /** Calls `listener` with every note, from this process and others. */
  onNote(listener: NoteListener): void {
    this.#listeners.push(listener);
  }

  /** Notifies this process immediately, and the others soon. Never throws; need not be awaited. */
  send(note: string): void {
    if (!/^[\x21-\x7e]{1,200}$/.test(note))
      throw new InvariantError('a note must be 1 to 200 visible ASCII characters');
    this.#tell(note);
    this.#waiting.push(note);
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift();
    this.#sending ??= this.#sendOut().finally(() => {
      this.#sending = undefined;
    });
  }

  /** Receives a notification of another process. */
  receive(notes: readonly string[]): void {
    for (const note of notes) this.#tell(note);
  }

  /** Resolves when no notification is in flight. */
  async drained(): Promise<void> {
    await this.#sending;
  }

  async #sendOut(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.notify(this.#next()).catch(() => {});
      await this.clock.sleep(DEBOUNCE_MS);
    }
  }

  #next(): string[] {
    const notes: string[] = [];
    let bytes = 0;
    for (const note of this.#waiting) {
      bytes += note.length + 1;
      if (bytes > MOST_BYTES) break;
      notes.push(note);
    }
    this.#waiting = this.#waiting.slice(notes.length);
    return notes;
  }

  #tell(note: string): void {
    for (const listener of this.#listeners) listener(note);
  }
}
