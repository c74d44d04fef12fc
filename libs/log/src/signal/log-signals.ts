import {
  BackgroundService,
  Bell,
  type Clock,
  DatabaseUnavailableError,
  describeError,
  type Logger,
  newId,
  type PgDatabase,
  systemClock,
} from '@waybill/kernel';
import { respondedWithin, closeSocket, derivedName, guardLogger } from '@waybill/kernel/internal';
import { SignalNotes } from './signal-notes.js';
import { notify } from '../statements.generated.js';

const SIGNALS = ['appended', 'group', 'redrive'] as const;

/** What has happened: records were appended, a group's assignment changed, dead letters were decided about. */
export type Signal = (typeof SIGNALS)[number];

/** How often the listener proves that it hears, in milliseconds, and how long its own note may take. */
const PROVE_MS = 10_000;
const HEAR_MS = 5_000;

/** At most one notification a signal in this time. */
const DEBOUNCE_MS = 10;

/** How {@link LogSignals} are made. */
export interface LogSignalsOptions {
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** How often the listener sends itself a note, in milliseconds; one that is not heard ends its connection. Default 10,000. */
  readonly proveMs?: number;
}

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
  /** Rung by the listener's own notes. */
  readonly #proof = new Bell();
  readonly #proveMs: number;
  #isListening = false;
  #stopped = true;

  constructor(
    private readonly database: PgDatabase,
    options: LogSignalsOptions = {},
  ) {
    this.#proveMs = options.proveMs ?? PROVE_MS;
    this.#channel = derivedName('signal', database.schema);
    this.#logger = guardLogger(options.logger);
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
    await this.notes.drained();
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

  async #notify(word: Signal | 'note' | 'proof', ...rest: string[]): Promise<void> {
    if (this.#stopped) return;
    await this.database.session.run(notify, this.#channel, [word, this.#sender, ...rest].join(' '));
  }

  #ring(signal: Signal): void {
    for (const bell of this.#bells[signal]) bell.ring();
  }

  /** Listens on one connection until it breaks, hears nothing any more, or the service stops. */
  async #listen(signal: AbortSignal): Promise<'again'> {
    const client = await this.database.connectAlone();
    const ended = new AbortController();
    const end = (): void => ended.abort();
    client.on('error', end);
    client.on('end', end);
    signal.addEventListener('abort', end, { once: true });
    client.on('notification', ({ payload }) => this.#onNotification(payload ?? ''));
    try {
      // It may have been stopped while the connection was made.
      if (signal.aborted) return 'again';
      await respondedWithin(client, HEAR_MS, 'Listening', client.query(`listen "${this.#channel}"`));
      this.#isListening = true;
      // What was appended while nobody listened is found now rather than at the next poll.
      this.#ring('appended');
      await this.#proveUntil(ended.signal);
    } finally {
      this.#isListening = false;
      signal.removeEventListener('abort', end);
      closeSocket(client);
    }
    return 'again';
  }

  #onNotification(payload: string): void {
    const [name, sender, ...notes] = payload.split(' ');
    if (sender === this.#sender) {
      if (name === 'proof') this.#proof.ring();
      return;
    }
    if (name === 'note') this.notes.receive(notes);
    const known = SIGNALS.find((candidate) => candidate === name);
    if (known !== undefined) this.#ring(known);
  }

  /**
   * Sends itself a note now and then: a connection that has gone silent, or a pooler that has given it to somebody else,
   * says nothing, and neither does a log in which nothing happens.
   */
  async #proveUntil(ended: AbortSignal): Promise<void> {
    while (!ended.aborted) {
      await this.#clock.sleep(this.#proveMs, ended);
      if (ended.aborted) return;
      try {
        await this.#notify('proof');
      } catch {
        // The database cannot be reached at all; that says nothing of this connection.
        continue;
      }
      if (await this.#proof.wait(HEAR_MS, ended)) continue;
      if (!ended.aborted)
        throw new DatabaseUnavailableError('The listener for signals did not hear its own note', {
          remedy:
            'It connects again; until then the log is polled. Behind a pooler by transactions LISTEN cannot work, and polling is all there is',
        });
      return;
    }
  }

  /** Whether notifications are being heard; without them the log is polled. */
  get listening(): boolean {
    return this.#isListening;
  }
}
