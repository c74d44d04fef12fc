import { type Clock, describeError, type Logger, type PgDatabase, systemClock } from '@waybill/kernel';
import { derivedName, guardLogger } from '@waybill/kernel/internal';
import { databaseIdentity } from '@waybill/schema';
import type { LogNotes } from './log-signals.js';

/** Minimum interval between two notes, in milliseconds: half of the time after which a loop without work is quiet. */
const NOTE_MS = 30_000;
/** What these notes begin with. */
const PREFIX = 'work:';

/**
 * Tells the other processes of a service that there is work for their relays and timer services, which poll seldom when
 * there has been none for a while. One note keeps them awake for a minute, so few are sent. A note is only a hint.
 */
export class WorkNotes {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #word: Promise<string> | undefined;
  #sentAt = -Infinity;

  /** @param database the service's database */
  constructor(
    private readonly database: PgDatabase,
    private readonly notes: LogNotes,
    { clock = systemClock, logger }: { readonly clock?: Clock; readonly logger?: Logger } = {},
  ) {
    this.#clock = clock;
    this.#logger = guardLogger(logger);
  }

  /** Announces work to the other processes. Never throws; need not be awaited. */
  announce(): void {
    const now = this.#clock.monotonic();
    if (now - this.#sentAt < NOTE_MS) return;
    this.#sentAt = now;
    void this.#send();
  }

  /** Calls `listener` when another process announces work for this service. */
  onWork(listener: () => void): void {
    this.notes.onNote((note) => {
      if (note.startsWith(PREFIX)) void this.#receive(note, listener);
    });
  }

  async #send(): Promise<void> {
    try {
      this.notes.send(await this.#ownWord());
    } catch (error) {
      this.#sentAt = -Infinity;
      this.#logger.debug(`work was not announced; polling will find it: ${describeError(error)}`);
    }
  }

  async #receive(note: string, listener: () => void): Promise<void> {
    // A service whose identity cannot be read wakes up for nothing, rather than not at all.
    const own = await this.#ownWord().catch(() => note);
    if (note === own) listener();
  }

  /** The services of a bus share its notes. */
  #ownWord(): Promise<string> {
    this.#word ??= databaseIdentity(this.database.session).then(
      (identity) => PREFIX + derivedName('work', identity),
    );
    this.#word.catch(() => (this.#word = undefined));
    return this.#word;
  }
}
