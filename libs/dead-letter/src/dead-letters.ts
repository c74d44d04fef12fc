import {
  bindStatement,
  type BoundStatement,
  ConfigurationError,
  DeadLetterClosedError,
  newId,
  NotFoundError,
  type Operator,
  type PgDatabase,
  resolveOptions,
  wholeNumber,
} from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';
import { type LogEngine, type MessageSink, Sealer, sinkFor } from '@waybill/log';
import { readableMessage, RESERVED_HEADER_PREFIX } from '@waybill/log/internal';
import { type DeadLetterFilter, type DeadLetterState, filterJson } from './dead-letter-filter.js';
import { type OperatorAction, operatorAction, operatorActions } from './operator-actions.js';
import { editedMessage, idIn, traceOf } from './edited-message.js';
import { headersAsObject } from './stored-record.js';
import {
  countDeadLetters,
  discardDeadLetters,
  editDeadLetter,
  groupDeadLetters,
  listDeadLetters,
  redriveDeadLetters,
  replaceDeadLetter,
  openDeadLetterTopics,
  showDeadLetter,
} from './statements.generated.js';

/** A dead letter as listed, without its payload. */
export interface DeadLetterSummary {
  readonly id: number;
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly handler: string;
  readonly messageId: string | null;
  readonly key: string | null;
  readonly reason: string;
  readonly errorClass: string;
  readonly errorMessage: string;
  readonly fingerprint: string;
  readonly attempts: number;
  readonly state: DeadLetterState;
  /** How often it has been redriven. */
  readonly redrives: number;
  /** The id of the message that replaced it. */
  readonly replacedBy: string | null;
  readonly firstFailedAt: Date;
  readonly lastFailedAt: Date;
}

/** A dead letter with all its values. */
export interface DeadLetterDetail extends DeadLetterSummary {
  readonly errorCode: string | null;
  readonly errorStack: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Buffer | null;
  /** Why its content cannot be decrypted: code and message; null if it is readable. */
  readonly unreadable: string | null;
  /** When the message was published. */
  readonly publishedAt: Date;
}

/** Dead letters of one kind of failure. */
export interface DeadLetterGroup {
  readonly fingerprint: string;
  readonly group: string;
  readonly topic: string;
  readonly handler: string;
  readonly errorClass: string;
  /** The id of the newest. */
  readonly errorMessage: string;
  readonly count: number;
  readonly firstFailedAt: Date;
  readonly lastFailedAt: Date;
  readonly newestId: number;
}

/** Changes of a message; omitted fields stay unchanged. */
export interface DeadLetterEdit {
  readonly payload?: Buffer | null;
  /** Headers to set, or to remove with null, one by one. */
  readonly headers?: Readonly<Record<string, string | null>>;
  /**
   * `handler` (default): only the handler that failed gets the message. `topic`: it is appended to the topic, and every
   * group handles it, including those that have handled the original.
   */
  readonly to?: 'handler' | 'topic';
}

/** The most dead letters that one statement decides. */
const STEP = 500;
const PAGE = {
  after: wholeNumber({ default: 0, min: 0, max: Number.MAX_SAFE_INTEGER }),
  limit: wholeNumber({ default: 100, min: 1, max: 100_000 }),
};
/** What dead letters need of the log. */
export type DeadLetterLog = Pick<LogEngine, 'appendWithin' | 'signals' | 'subscribedTopics' | 'topics'>;

/**
 * Messages that could not be handled: lists, edits, redrives and discards them. Every
 * decision is recorded with who made it and why. See {@link Redrives} for many at once.
 */
export class DeadLetters {
  readonly #sink: MessageSink;

  constructor(
    private readonly database: PgDatabase,
    private readonly log: DeadLetterLog,
    private readonly sealer: Sealer = Sealer.none,
  ) {
    this.#sink = sinkFor({ log, database });
  }

  /**
   * Dead letters that match a filter, by id.
   * @param page at most `limit` (default 100) after the id `after`
   * @throws ConfigurationError for an unusable filter
   */
  async list(
    filter: DeadLetterFilter = {},
    page: { readonly after?: number; readonly limit?: number } = {},
  ): Promise<DeadLetterSummary[]> {
    const { after, limit } = resolveOptions('page of dead letters', PAGE, page);
    const rows = await this.database.session.run(listDeadLetters, filterJson(filter), after, limit);
    return rows.map((row) => ({ ...row, state: row.state as DeadLetterState }));
  }

  /** Dead letters that match a filter, counted by kind of failure, most frequent first. Errors like {@link list}. */
  async groups(filter: DeadLetterFilter = {}, most = 100): Promise<DeadLetterGroup[]> {
    const { limit } = resolveOptions('list of dead letters by kind', { limit: PAGE.limit }, { limit: most });
    return this.database.session.run(groupDeadLetters, filterJson(filter), limit);
  }

  /** Counts the dead letters that match a filter. Errors like {@link list}. */
  async count(filter: DeadLetterFilter = {}): Promise<number> {
    const [row] = await this.database.session.run(countDeadLetters, filterJson(filter));
    return row?.count ?? 0;
  }

  /**
   * Groups and topics of the open dead letters that match a filter, where no live process handles the topic: messages
   * redriven there wait until one does. Errors like {@link list}.
   */
  async unserved(
    filter: DeadLetterFilter = {},
  ): Promise<{ readonly group: string; readonly topic: string }[]> {
    const letters = await this.database.session.run(openDeadLetterTopics, filterJson(filter, ['open']));
    const served = new Map<string, ReadonlySet<string>>();
    for (const { group } of letters)
      if (!served.has(group)) served.set(group, await this.log.subscribedTopics(group));
    return letters.filter(({ group, topic }) => served.get(group)?.has(topic) !== true);
  }

  /** All values of a dead letter. @throws NotFoundError */
  async show(id: number): Promise<DeadLetterDetail> {
    const { headers, timestampMs, ...row } = await this.#read(id);
    const letter = {
      ...row,
      state: row.state as DeadLetterState,
      headers: headersAsObject(headers),
      publishedAt: new Date(timestampMs),
    };
    const { session } = this.database;
    const stored = { ...letter, id: idIn(letter) };
    return { ...(await readableMessage(this.sealer, session, stored, `dead letter ${id}`)), id };
  }

  /** All values of the dead letters that match a filter, one by one, by id. Errors like {@link list}. */
  async *export(filter: DeadLetterFilter = {}): AsyncGenerator<DeadLetterDetail> {
    for (let after = 0; ;) {
      const page = await this.list(filter, { after, limit: STEP });
      for (const { id } of page) yield await this.show(id);
      const last = page.at(-1);
      if (last === undefined) return;
      after = last.id;
    }
  }

  /**
   * Sends one dead letter to the handler that failed, once, as if it were its turn now.
   * @throws NotFoundError, DeadLetterClosedError
   */
  async redrive(id: number, operator: Operator): Promise<void> {
    const audit = operatorAction(operator, 'redrive', { kind: 'dead-letter', id: String(id) });
    await this.#decide([bindStatement(redriveDeadLetters, [id]), audit], async (result) => {
      const [row] = result[0] as { redriven: number }[];
      if (row?.redriven !== 1) await this.#refuse(id);
    });
    this.log.signals.send('redrive');
  }

  /**
   * Changes the message of a dead letter and sends it as a new one, linked to the old one by `replacedBy` and the
   * header `waybill-cause-id`. The audit record keeps a digest and the size of the original message.
   * @returns the id of the new message
   * @throws NotFoundError, DeadLetterClosedError
   * @throws ContentUndecipherableError, SubjectErasedError if its content cannot be read here
   * @throws ConfigurationError for a reserved header
   */
  async edit(id: number, edit: DeadLetterEdit, operator: Operator): Promise<string> {
    const letter = await this.#read(id);
    if (letter.state !== 'open') throw new DeadLetterClosedError(id, letter.state);
    assertNoControl(id, edit);
    const messageId = newId();
    const { headers, payload, keep } = await editedMessage(this.sealer, this.database.session, letter, {
      ...edit,
      messageId,
    });
    const to = edit.to ?? 'handler';
    const details = { messageId, to, before: traceOf(letter) };
    const audit = operatorAction(operator, 'edit', { kind: 'dead-letter', id: String(id) }, details);
    const statements =
      to === 'topic'
        ? [
            bindStatement(replaceDeadLetter, id, messageId),
            audit,
            ...keep,
            ...(await this.#append(letter, messageId, headers, payload)),
          ]
        : [
            bindStatement(editDeadLetter, id, messageId, headers, payload),
            bindStatement(redriveDeadLetters, [id]),
            audit,
            ...keep,
          ];
    await this.#decide(statements, async (result) => {
      const [row] = result[0] as { redriven?: number }[];
      if (row === undefined || row.redriven === 0) await this.#refuse(id);
    });
    if (to === 'topic') this.#sink.sent();
    else this.log.signals.send('redrive');
    return messageId;
  }

  /**
   * Discards the open dead letters that match a filter; messages that waited for them continue.
   * @returns their number
   * @throws ConfigurationError for an unusable filter
   */
  async discard(filter: DeadLetterFilter, operator: Operator & { readonly reason: string }): Promise<number> {
    let discarded = 0;
    for (;;) {
      const open = await this.database.session.run(listDeadLetters, filterJson(filter, ['open']), 0, STEP);
      if (open.length === 0) break;
      const ids = open.map(({ id }) => id);
      const audits = ids.map((id) =>
        operatorAction(operator, 'discard', { kind: 'dead-letter', id: String(id) }),
      );
      await this.#decide([bindStatement(discardDeadLetters, ids), ...audits], async () => {});
      discarded += ids.length;
    }
    if (discarded > 0) this.log.signals.send('redrive');
    return discarded;
  }

  /** Operators' actions on a dead letter, newest first. */
  async actions(id: number): Promise<OperatorAction[]> {
    return operatorActions(this.database.session, { kind: 'dead-letter', id: String(id) });
  }

  async #read(id: number) {
    const [row] = await this.database.session.run(showDeadLetter, id);
    if (row === undefined) throw new NotFoundError(`dead letter ${id}`);
    return row;
  }

  async #refuse(id: number): Promise<never> {
    const { state } = await this.#read(id);
    throw new DeadLetterClosedError(id, state);
  }

  /** Runs statements in one transaction, which `check` can roll back by throwing. */
  async #decide(
    statements: readonly BoundStatement[],
    check: (result: unknown[][]) => Promise<void>,
  ): Promise<unknown[][]> {
    return this.database.transaction(async (connection) => {
      const result = await connection.runBatch(statements);
      await check(result);
      return result;
    });
  }

  async #append(
    letter: { readonly topic: string; readonly key: string | null; readonly timestampMs: number },
    messageId: string,
    headers: string,
    payload: Buffer | null,
  ): Promise<BoundStatement[]> {
    await this.#sink.ready();
    return this.#sink.collect(async (add) =>
      add({
        id: Buffer.from(messageId),
        topic: letter.topic,
        partition: null,
        key: letter.key === null ? null : Buffer.from(letter.key),
        headers: JSON.stringify(headersAsObject(headers)),
        payload,
        timestampMs: letter.timestampMs,
      }),
    );
  }
}

/** Headers that Waybill trusts must not be edited. */
function assertNoControl(id: number, { headers = {} }: DeadLetterEdit): void {
  const control = Object.keys(headers).filter((name) =>
    name.toLowerCase().startsWith(RESERVED_HEADER_PREFIX),
  );
  if (control.length > 0)
    throw new ConfigurationError(
      `Dead letter ${id} was not changed`,
      control.map((name) => `header ${show(name)} is reserved`),
    );
}
