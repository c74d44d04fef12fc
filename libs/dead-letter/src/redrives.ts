import {
  bindStatement,
  type Clock,
  ConfigurationError,
  NotFoundError,
  type Operator,
  type PgDatabase,
  resolveOptions,
  systemClock,
  wholeNumber,
} from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';
import type { LogSignals } from '@waybill/log';
import { type DeadLetterFilter, filterJson } from './dead-letter-filter.js';
import { operatorAction } from './operator-actions.js';
import { cancelRedrive, listRedrives, redriveStep, startRedrive } from './statements.generated.js';

/** The size and the progress of a redrive. */
export interface RedriveProgress {
  readonly id: number;
  readonly state: 'running' | 'done' | 'cancelled';
  /** Open dead letters that matched when it began. */
  readonly total: number;
  /** Of these, those sent to their handlers so far. */
  readonly redriven: number;
}

/** A redrive as listed. */
export interface RedriveSummary extends RedriveProgress {
  /** The login that started it. */
  readonly actor: string;
  /** The stated name. */
  readonly by: string;
  readonly perSecond: number;
  readonly startedAt: Date;
}

/** Options for running a redrive. */
export interface RedriveOptions {
  /** Stops the run between two steps; the redrive can be resumed. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: RedriveProgress) => void;
}

/** The most dead letters per step, and the number of steps per second if the rate allows. */
const STEP = 500;
const STEPS_A_SECOND = 5;
const LIST = { limit: wholeNumber({ default: 20, min: 1, max: 100_000 }) };
const DEFAULT_PER_SECOND = 500;
const MOST_PER_SECOND = 100_000;

/**
 * Redrives many dead letters, at a rate, each once. Its progress is stored in the database, in one transaction with the
 * dead letters: any process can resume a redrive whose process has crashed.
 */
export class Redrives {
  /** The size of the next step, by redrive. */
  readonly #steps = new Map<number, number>();

  constructor(
    private readonly database: PgDatabase,
    private readonly signals?: LogSignals,
    private readonly clock: Clock = systemClock,
  ) {}

  /**
   * Begins to redrive the open dead letters that currently match a filter; see {@link resume} for the rest.
   * @param perSecond how many are sent to their handlers per second, default 500
   * @throws ConfigurationError
   */
  async start(
    filter: DeadLetterFilter,
    operator: Operator & { readonly perSecond?: number },
  ): Promise<RedriveProgress> {
    const { perSecond = DEFAULT_PER_SECOND } = operator;
    if (!Number.isSafeInteger(perSecond) || perSecond < 1 || perSecond > MOST_PER_SECOND) {
      throw new ConfigurationError('The dead letters were not changed', [
        `perSecond must be a whole number from 1 to ${MOST_PER_SECOND}, got ${show(perSecond)}`,
      ]);
    }
    const filterText = filterJson(filter, ['open']);
    return this.database.transaction(async (connection) => {
      const [row] = await connection.run(startRedrive, filterText, operator.by, perSecond);
      const { id, total } = row as { id: number; total: number };
      const target = { kind: 'redrive', id: String(id) };
      const details = { filter: JSON.parse(filterText) as unknown, total, perSecond };
      await connection.runBatch([operatorAction(operator, 'redrive', target, details)]);
      return { id, state: 'running', total, redriven: 0 };
    });
  }

  /**
   * Runs a redrive to its end, from its current position. Several processes may do so: they take turns.
   * @returns its state: `running` if the signal stopped it
   * @throws NotFoundError
   */
  async resume(id: number, options: RedriveOptions = {}): Promise<RedriveProgress> {
    for (;;) {
      const progress = await this.#step(id);
      options.onProgress?.(progress);
      if (progress.redriven > 0) this.signals?.send('redrive');
      if (progress.state !== 'running') return progress;
      await this.clock.sleep(progress.pauseMs, options.signal);
      if (options.signal?.aborted === true) return progress;
    }
  }

  /** Ends a running redrive: dead letters already redriven stay so. @throws NotFoundError if none with that id runs */
  async cancel(id: number, operator: Operator): Promise<void> {
    const audit = operatorAction(operator, 'cancel', { kind: 'redrive', id: String(id) });
    await this.database.transaction(async (connection) => {
      const [cancelled] = await connection.runBatch([bindStatement(cancelRedrive, id), audit]);
      if (cancelled?.length === 0) throw new NotFoundError(`running redrive ${id}`);
    });
  }

  /** The newest redrives. */
  async list(most = 20): Promise<RedriveSummary[]> {
    const { limit } = resolveOptions('list of redrives', LIST, { limit: most });
    const rows = await this.database.session.run(listRedrives, limit);
    return rows.map((row) => ({ ...row, state: row.state as RedriveProgress['state'] }));
  }

  async #step(id: number): Promise<RedriveProgress & { readonly pauseMs: number }> {
    // The rate is stored with the redrive; the first step, of one, reads it.
    const most = this.#steps.get(id) ?? 1;
    const [row] = await this.database.session.run(redriveStep, id, most);
    if (row === undefined) throw new NotFoundError(`redrive ${id}`);
    const next = Math.max(1, Math.min(STEP, Math.floor(row.perSecond / STEPS_A_SECOND)));
    this.#steps.set(id, next);
    const state = row.state as RedriveProgress['state'];
    if (state !== 'running') this.#steps.delete(id);
    const { total, redriven } = row;
    return { id, state, total, redriven, pauseMs: Math.ceil((most * 1_000) / row.perSecond) };
  }
}
