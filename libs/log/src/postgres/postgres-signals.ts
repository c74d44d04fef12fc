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
import type { LogSignals, Signal } from '../engine/log-signals.js';
import { SignalNotes } from './signal-notes.js';
import { notify } from '../statements.generated.js';

const SIGNALS: readonly Signal[] = ['appended', 'group', 'redrive', 'topics'];

/** Interval at which the listener checks its connection, in milliseconds, and how long its own note may take. */
const PROVE_MS = 10_000;
const HEAR_MS = 5_000;

/** Minimum interval between two notifications of a signal. */
const DEBOUNCE_MS = 10;

/** The channel of a log's signals. */
export function channelOf(schema: string): string {
  return derivedName('signal', schema);
}

/** Options of {@link PostgresSignals}. */
export interface PostgresSignalsOptions {
  readonly logger?: Logger;
  readonly clock?: Clock;
  /**
   * Interval at which the listener sends itself a note, in milliseconds; if one is not received, it reconnects. Default
   * 10,000.
   */
  readonly proveMs?: number;
}

/**
 * Wakes the loops that wait for the log: in this process immediately, in other processes by NOTIFY, debounced and from
 * a separate connection. (NOTIFY takes a lock on the whole server when its transaction commits, so it has no
 * place in a producer's transaction or a flush.) Every waiter polls as well: a lost signal costs only a short delay.
 */
export class PostgresSignals implements LogSignals {
  /** Short notes to all processes, in addition to the signals. */
  readonly notes: SignalNotes;
  readonly #bells: Record<Signal, Set<Bell>> = {
    appended: new Set(),
    group: new Set(),
    redrive: new Set(),
    topics: new Set(),
  };
  readonly #channel: string;
  /** Distinguishes its own notifications from others'; process ids may be equal in containers. */
  readonly #sender = newId();
  readonly #listener: BackgroundService;
  readonly #sending = new Map<Signal, { again: boolean; done: Promise<void> }>();
  readonly #logger: Logger;
  readonly #clock: Clock;
  /** Rung by the listener's own notes. */
  readonly #proof = new Bell();
  readonly #proveMs: number;
  #isListening = false;
  #news = 0;
  #stopped = true;

  constructor(
    private readonly database: PgDatabase,
    options: PostgresSignalsOptions = {},
  ) {
    this.#proveMs = options.proveMs ?? PROVE_MS;
    this.#channel = channelOf(database.schema);
    this.#logger = guardLogger(options.logger);
    this.#clock = options.clock ?? systemClock;
    this.notes = new SignalNotes((notes) => this.#notify('note', ...notes), this.#clock);
    this.#listener = new BackgroundService({
      name: 'the signal listener',
      runOnce: (signal) => this.#listen(signal),
      idleMaxMs: 1,
      failureMaxMs: 10_000,
      logger: this.#logger,
    });
  }

  /** Starts to listen to other processes. */
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

  /** Rings `bell` at every signal of this kind; returns a function that removes it. */
  subscribe(signal: Signal, bell: Bell): () => void {
    this.#bells[signal].add(bell);
    return () => this.#bells[signal].delete(bell);
  }

  /** Grows with each announcement of records, but for those of {@link sendHandedOver}. */
  get news(): number {
    return this.#news;
  }

  /** Signals this process and all others. Never throws; need not be awaited. */
  send(signal: Signal): void {
    this.#ring(signal);
    this.#sendToOthers(signal);
  }

  /** Announces records that readers in this process find without asking the log. */
  sendHandedOver(): void {
    for (const bell of this.#bells.appended) bell.ring();
    this.#sendToOthers('appended');
  }

  #sendToOthers(signal: Signal): void {
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
      this.#logger.debug(`a signal was not sent; polling will find the work: ${describeError(error)}`);
    } finally {
      this.#sending.delete(signal);
    }
  }

  async #notify(word: Signal | 'note' | 'proof', ...rest: string[]): Promise<void> {
    if (this.#stopped) return;
    await this.database.session.run(notify, this.#channel, [word, this.#sender, ...rest].join(' '));
  }

  #ring(signal: Signal): void {
    if (signal === 'appended') this.#news += 1;
    for (const bell of this.#bells[signal]) bell.ring();
  }

  /** Listens on one connection until it breaks, goes silent, or the service stops. */
  async #listen(signal: AbortSignal): Promise<'again'> {
    const client = await this.database.connectAlone();
    const ended = new AbortController();
    const end = (): void => ended.abort();
    client.on('error', end);
    client.on('end', end);
    signal.addEventListener('abort', end, { once: true });
    client.on('notification', ({ payload }) => this.#onNotification(payload ?? ''));
    try {
      // It may have been stopped while it was connecting.
      if (signal.aborted) return 'again';
      await respondedWithin(client, HEAR_MS, 'Listening', client.query(`listen "${this.#channel}"`));
      // Records appended while it was not listening are found now rather than at the next poll.
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
   * Sends itself a note periodically: a connection that has gone silent, or that a pooler has given to another client,
   * is indistinguishable from a log in which nothing happens.
   */
  async #proveUntil(ended: AbortSignal): Promise<void> {
    while (!ended.aborted) {
      try {
        await this.#notify('proof');
      } catch {
        // The database cannot be reached at all; that says nothing about this connection.
        await this.#clock.sleep(this.#proveMs, ended);
        continue;
      }
      if (await this.#proof.wait(HEAR_MS, ended)) {
        this.#isListening = true;
        await this.#clock.sleep(this.#proveMs, ended);
        continue;
      }
      if (!ended.aborted)
        throw new DatabaseUnavailableError('The signal listener did not receive its own note', {
          remedy:
            'It reconnects; until then the log is polled. LISTEN does not work through a transaction pooler, which leaves only polling',
        });
      return;
    }
  }

  /** Whether notifications have proven to be received; without them the log is polled. */
  get listening(): boolean {
    return this.#isListening;
  }
}
