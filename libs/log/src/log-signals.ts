import {
  BackgroundService,
  type Bell,
  type Clock,
  derivedName,
  describeError,
  type Logger,
  newId,
  type PgDatabase,
  silentLogger,
  systemClock,
} from '@waybill/kernel';
import type pg from 'pg';
import { SignalNotes } from './signal-notes.js';
import { notify } from './statements.generated.js';

const SIGNALS = ['appended', 'group', 'redrive'] as const;

/** What has happened: records were appended, a group's assignment changed, dead letters were decided about. */
export type Signal = (typeof SIGNALS)[number];

/** At most one notification a signal in this time. */
const DEBOUNCE_MS = 10;

/**
 * Wakes the loops that wait for the log: in this process at once, in other processes by NOTIFY, debounced and from
 * a connection of its own. (NOTIFY takes a lock on the whole server when its transaction commits, so it has no
 * place in a producer's transaction or a flush.) Every waiter polls as well: a lost signal costs a moment, no more.
 */
export class LogSignals {
  /** Short words beside the signals, for all processes. */
  readonly notes: SignalNotes;
  readonly #bells: Record<Signal, Set<Bell>> = {
    appended: new Set(),
    group: new Set(),
    redrive: new Set(),
  };
  readonly #channel: string;
  /** Tells its own notifications from those of others; process ids are alike in containers. */
  readonly #sender = newId();
  readonly #listener: BackgroundService;
  readonly #sending = new Map<Signal, { again: boolean; done: Promise<void> }>();
  readonly #logger: Logger;
  readonly #clock: Clock;
  #client: pg.Client | undefined;
  #stopped = true;

  constructor(
    private readonly database: PgDatabase,
    options: { readonly logger?: Logger; readonly clock?: Clock } = {},
  ) {
    this.#channel = derivedName('signal', database.schema);
    this.#logger = options.logger ?? silentLogger;
    this.#clock = options.clock ?? systemClock;
    this.notes = new SignalNotes((notes) => this.#notify('note', ...notes), this.#clock);
    this.#listener = new BackgroundService({
      name: 'the listener for signals',
      runOnce: (signal) => this.#listen(signal),
      idleMaxMs: 1,
      failureMaxMs: 10_000,
      logger: this.#logger,
    });
  }

  /** Starts to hear other processes. */
  start(): void {
    this.#stopped = false;
    this.#listener.start();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#listener.stop();
    await Promise.all([...this.#sending.values()].map(({ done }) => done));
    await this.notes.settled();
  }

  /** Rings `bell` at every signal of this kind; returns what takes it off again. */
  subscribe(signal: Signal, bell: Bell): () => void {
    this.#bells[signal].add(bell);
    return () => this.#bells[signal].delete(bell);
  }

  /** Tells everybody, here and in other processes. Never throws and is not to be awaited. */
  send(signal: Signal): void {
    this.#ring(signal);
    const sending = this.#sending.get(signal);
    if (sending !== undefined) {
      sending.again = true;
      return;
    }
    if (this.#stopped) return;
    const started = { again: true, done: Promise.resolve() };
    this.#sending.set(signal, started);
    started.done = this.#sendOut(signal, started);
  }

  async #sendOut(signal: Signal, sending: { again: boolean }): Promise<void> {
    try {
      while (sending.again && !this.#stopped) {
        sending.again = false;
        await this.#notify(signal);
        await this.#clock.sleep(DEBOUNCE_MS);
      }
    } catch (error) {
      this.#logger.debug(`a signal was not sent, pollers will find the work: ${describeError(error)}`);
    } finally {
      this.#sending.delete(signal);
    }
  }

  async #notify(word: Signal | 'note', ...rest: string[]): Promise<void> {
    if (this.#stopped) return;
    await this.database.session.run(notify, this.#channel, [word, this.#sender, ...rest].join(' '));
  }

  #ring(signal: Signal): void {
    for (const bell of this.#bells[signal]) bell.ring();
  }

  /** Listens on one connection until it breaks or the service stops. */
  async #listen(signal: AbortSignal): Promise<'again'> {
    const client = await this.database.connectAlone();
    this.#client = client;
    const ended = new Promise<void>((resolve) => {
      client.on('error', () => resolve());
      client.on('end', () => resolve());
      signal.addEventListener('abort', () => resolve(), { once: true });
      // It may have been stopped while the connection was made.
      if (signal.aborted) resolve();
    });
    client.on('notification', (message) => {
      const [name, sender, ...notes] = (message.payload ?? '').split(' ');
      if (sender === this.#sender) return;
      if (name === 'note') this.notes.hear(notes);
      const known = SIGNALS.find((candidate) => candidate === name);
      if (known !== undefined) this.#ring(known);
    });
    try {
      await client.query(`listen "${this.#channel}"`);
      // What was appended while nobody listened is found now rather than at the next poll.
      this.#ring('appended');
      await ended;
    } finally {
      this.#client = undefined;
      await client.end().catch(() => {});
    }
    return 'again';
  }

  /** Whether notifications are being heard; without them the log is polled. */
  get listening(): boolean {
    return this.#client !== undefined;
  }
}
