import { type Clock, InvariantError } from '@waybill/kernel';

/** Called with each note that is received. */
export type NoteListener = (note: string) => void;

/** PostgreSQL takes less than 8,000 bytes in a notification. */
const MOST_BYTES = 7_000;
/** Notes that wait to be sent at most; the oldest are given up, as they are hints only. */
const MOST_WAITING = 10_000;
/** At most one notification in this time. */
const DEBOUNCE_MS = 10;

/**
 * Short words for every process that listens at the moment. A note is a hint: it may be lost, and nothing but time may
 * depend on it. Those that are made in quick succession are sent together.
 */
export class SignalNotes {
  readonly #listeners: NoteListener[] = [];
  #waiting: string[] = [];
  #sending: Promise<void> | undefined;

  /** @param notify sends notes to the other processes; may fail */
  constructor(
    private readonly notify: (notes: readonly string[]) => Promise<void>,
    private readonly clock: Clock,
  ) {}

  /** Calls `listener` with every note, of this process and of others. */
  onNote(listener: NoteListener): void {
    this.#listeners.push(listener);
  }

  /** Tells this process at once, and the others soon. Never throws and is not to be awaited. */
  send(note: string): void {
    if (!/^[\x21-\x7e]{1,200}$/.test(note)) throw new InvariantError('a note is 1 to 200 visible characters');
    this.#tell(note);
    this.#waiting.push(note);
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift();
    this.#sending ??= this.#sendOut().finally(() => {
      this.#sending = undefined;
    });
  }

  /** Takes in what another process has sent. */
  receive(notes: readonly string[]): void {
    for (const note of notes) this.#tell(note);
  }

  /** Resolves when nothing is under way any more. */
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
