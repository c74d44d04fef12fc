import { type AppendedMessage, appendedMessages } from '../../model/appended-messages.js';
import { type ModelServer, SqlError } from '../../model/model-server.js';
import { Table } from '../../model/table.js';
import type { Transaction } from '../../model/transaction.js';

/** A message in the model's log. */
export interface LogModelRow extends AppendedMessage {
  readonly offset: number;
}

/**
 * A model of the log as one source's hand-over sees it: ports of libs/log/sql/append/ask-source.sql and hand-over-pass.sql, with
 * source_ask and log_hand_over in libs/schema/migrations/bus/0005-sources.sql, and of log_append.
 */
export class LogModel {
  readonly rows = new Table<LogModelRow>();
  readonly passes = new Table<{ readonly n: number; readonly token: string }>();

  constructor(
    private readonly server: ModelServer,
    private readonly bug: string | undefined,
  ) {
    server.define({
      'bus-identity': () => [{ busId: 'bus', logEpoch: 1, incarnation: 1 }],
      'ask-source': (transaction: Transaction) => {
        const { n, token } = this.#newest(transaction);
        return [{ busId: 'bus', logEpoch: 1, n, token }];
      },
      'hand-over-pass': this.#handOver.bind(this),
    });
  }

  /** The newest pass that is committed here; 0 if there is none. */
  get newestN(): number {
    return Math.max(0, ...this.passes.committed.map(({ n }) => n));
  }

  #newest(transaction: Transaction): { readonly n: number; readonly token: string | null } {
    const none = { n: 0, token: null };
    return this.server
      .rows(this.passes, transaction)
      .reduce<{ readonly n: number; readonly token: string | null }>((a, b) => (a.n > b.n ? a : b), none);
  }

  /** The source's lock, and only then a look at what is there. */
  async #handOver(
    transaction: Transaction,
    _serviceId: string,
    _logEpoch: number,
    passN: number,
    token: string,
    tokenBefore: string | null,
    partitionIds: readonly number[],
    _counts: readonly number[],
    byteLengths: readonly number[],
    _times: unknown,
    data: Buffer,
  ): Promise<unknown[]> {
    await this.server.locks.take('source', transaction, 'exclusive');
    if (this.bug !== 'no-numbers' && this.#isHeld(transaction, passN, token, tokenBefore)) return [];
    this.server.xidOf(transaction);
    this.passes.insert(transaction, { n: passN, token });
    await this.#append(transaction, partitionIds, byteLengths, data);
    return [];
  }

  /** Whether the log holds the pass; raises if it neither does nor follows on what it holds. */
  #isHeld(transaction: Transaction, passN: number, token: string, tokenBefore: string | null): boolean {
    const newest = this.#newest(transaction);
    if (newest.n >= passN) {
      const held = this.server.rows(this.passes, transaction).find(({ n }) => n === passN);
      if (held?.token !== token) throw new SqlError('WB050', `the log holds another pass ${passN}`);
      return true;
    }
    if (newest.n !== passN - 1)
      throw new SqlError('WB051', `the log holds passes up to ${newest.n}, and pass ${passN} came`);
    if (newest.n > 0 && newest.token !== tokenBefore)
      throw new SqlError('WB050', `the log holds another pass ${newest.n}`);
    return false;
  }

  async #append(
    transaction: Transaction,
    partitionIds: readonly number[],
    byteLengths: readonly number[],
    data: Buffer,
  ): Promise<void> {
    for (const id of [...new Set(partitionIds)].toSorted((a, b) => a - b))
      await this.server.locks.take(`append ${id}`, transaction, 'exclusive');
    transaction.fact('moved', 'appended');
    const next = (partitionId: number): number =>
      this.server
        .rows(this.rows, transaction)
        .filter((row) => row.partitionId === partitionId)
        .reduce((end, row) => Math.max(end, row.offset + 1), 0);
    for (const message of appendedMessages(partitionIds, byteLengths, data))
      this.rows.insert(transaction, { ...message, offset: next(message.partitionId) });
  }
}
