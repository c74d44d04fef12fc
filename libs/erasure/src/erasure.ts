import { createHash } from 'node:crypto';
import {
  bindStatement,
  ConfigurationError,
  isId,
  type Operator,
  type PgConnection,
  type PgDatabase,
} from '@waybill/kernel';
import { assertOperator } from '@waybill/kernel/internal';
import { type LogEngine, Sealer } from '@waybill/log';
import { subjectHash } from '@waybill/log/internal';
import { type OperatorAction, operatorAction, operatorActions } from '@waybill/dead-letter';
import {
  countOfSubject,
  destroySubjectKeys,
  eraseMessages,
  eraseSagaAttributes,
  findSagasOfSubject,
  stopSagasOfSubject,
} from './statements.generated.js';
import { ELSEWHERE, type ErasedPart, type ErasureReport, type Remainder } from './erasure-report.js';
import { logRemainders } from './log-remainders.js';

/** The target of an erasure: all data of a subject, of the messages of a key, or of one message. */
export type ErasureTarget =
  | {
      readonly subject: string;
      /** Whether active sagas end stuck. Default false: the erasure is then refused. */ readonly stopSagas?: boolean;
    }
  | { readonly key: string; readonly topic?: string }
  | { readonly messageId: string; readonly topic?: string };

/** Options of an erasure. */
export interface ErasureOptions {
  /** Only reports what would be done. Default false. */
  readonly dryRun?: boolean;
}

/** Thrown internally to roll back a dry run. */
class DryRunRollbackError extends Error {
  constructor(readonly report: ErasureReport) {
    super('it was only a dry run');
  }
}

const KIND = 'erasure';
/** The target's name in the audit record: the name and the key themselves must be forgotten. */
const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/** What an erasure needs of the log. */
export type ErasureLog = Pick<LogEngine, 'fetch' | 'offsets' | 'signals' | 'subjectKeys' | 'topics'>;

/**
 * Erases data that must be forgotten. For a subject, its keys are destroyed, in the service's database and in the log: data
 * encrypted with them are unreadable wherever they are, including copies of the log. For a key or a message, rows are removed and emptied, and
 * the report lists where data remain.
 */
export class Erasure {
  /** @param sealer knows the pseudonyms of encrypted keys. Default: one without a cipher */
  constructor(
    private readonly database: PgDatabase,
    private readonly log: ErasureLog,
    private readonly sealer: Sealer = Sealer.none,
  ) {}

  /**
   * A subject's keys in the log are destroyed in a transaction of their own, which ends before that in the service's database.
   * When it fails in between, they are gone and nothing else is: run it again, also when its result is not known.
   * @throws ConfigurationError for an unusable target, or a subject with active sagas
   */
  async erase(
    target: ErasureTarget,
    operator: Operator & { readonly reason: string },
    { dryRun = false }: ErasureOptions = {},
  ): Promise<ErasureReport> {
    assertTarget(target);
    assertOperator(operator, KIND);
    const what = nameOf(target);
    try {
      const report = await this.database.transaction(async (connection) => {
        const found =
          'subject' in target
            ? await this.#ofSubject(connection, target.subject, target.stopSagas === true)
            : await this.#ofMessages(connection, target);
        const remains = [...(await this.#remains(target)), ...ELSEWHERE];
        const done = 'subject' in target ? [...found, ...(await this.#inLog(target.subject, dryRun))] : found;
        if (dryRun) throw new DryRunRollbackError({ what, done, remains });
        const details = { done: Object.fromEntries(done.map(({ where, rows }) => [where, rows])) };
        await connection.runBatch([operatorAction(operator, 'erase', { kind: KIND, id: what }, details)]);
        return { what, done, remains };
      });
      this.log.signals.send('redrive');
      return report;
    } catch (error) {
      if (error instanceof DryRunRollbackError) return error.report;
      throw error;
    }
  }

  /** Past erasures, newest first. */
  async actions(): Promise<OperatorAction[]> {
    return operatorActions(this.database.session, { kind: KIND });
  }

  async #ofSubject(connection: PgConnection, subject: string, stopSagas: boolean): Promise<ErasedPart[]> {
    const hash = subjectHash(subject);
    const hex = hash.toString('hex');
    // The lock first: rows stored by transactions in progress are visible after it.
    const [row] = await connection.run(destroySubjectKeys, hash);
    const sagas = await connection.run(findSagasOfSubject, hex);
    if (sagas.length > 0 && !stopSagas)
      throw new ConfigurationError('The subject was not erased', [
        `${sagas.length} of its sagas are active, the first is ${sagas[0]?.type} ${sagas[0]?.id}: let them end, or set ` +
          'stopSagas (--stop-sagas), and they stay stuck for good',
      ]);
    if (sagas.length > 0) await connection.runBatch([bindStatement(stopSagasOfSubject, hex)]);
    const [attributes] = await connection.run(eraseSagaAttributes, hex);
    return parts({
      'keys of the subject': row?.destroyed ?? 0,
      'sagas that are now stuck': sagas.length,
      'attributes of its sagas': attributes?.removed ?? 0,
    });
  }

  /**
   * Last, when nothing refuses the erasure any more, and before it is committed here: the log takes no key that arrives later,
   * and a repeated erasure finds again what is left here.
   */
  async #inLog(subject: string, dryRun: boolean): Promise<ErasedPart[]> {
    const { subjectKeys } = this.log;
    const hash = subjectHash(subject);
    return parts({
      'keys of the subject in the log': dryRun
        ? await subjectKeys.count(hash)
        : await subjectKeys.destroy(hash),
    });
  }

  async #ofMessages(
    connection: PgConnection,
    target: Exclude<ErasureTarget, { readonly subject: string }>,
  ): Promise<ErasedPart[]> {
    const { keys, messageId, topic } = this.#wanted(target);
    const [row] = await connection.run(eraseMessages, keys, messageId, topic);
    return parts({
      'dead letters': row?.deadLetters ?? 0,
      'parked messages': row?.parked ?? 0,
      timers: row?.timers ?? 0,
      'recurring messages': row?.recurring ?? 0,
      'half messages, rolled back': row?.halves ?? 0,
      'decided half messages': row?.decidedHalves ?? 0,
      outbox: row?.outbox ?? 0,
      'quarantined messages': row?.quarantined ?? 0,
      'results of guards': row?.results ?? 0,
    });
  }

  async #remains(target: ErasureTarget): Promise<Remainder[]> {
    if ('subject' in target) return this.#unreadable(target.subject);
    const places = await logRemainders(this.log, this.#wanted(target));
    return [
      ...places,
      {
        where: 'sagas, and results of guards, leases, barriers and external effects',
        why: 'they cannot be found by the key or the id of a message: retention removes them; erasing a subject reaches them immediately',
        until: null,
      },
    ];
  }

  async #unreadable(subject: string): Promise<Remainder[]> {
    const hash = subjectHash(subject);
    const [row] = await this.database.session.run(countOfSubject, hash, hash.toString('hex'));
    const counts = Object.entries(row ?? {}).filter(([, rows]) => rows > 0);
    return [
      ...counts.map(([table, rows]) => ({
        where: table,
        why: `${rows} left as ciphertext that can no longer be read`,
        until: null,
      })),
      {
        where: 'log',
        why: 'its records remain as ciphertext that can no longer be read, until retention removes them',
        until: null,
      },
      {
        where: 'data that are never encrypted',
        why: "keys of messages without encryptKeys, keys of sagas, attributes that operators have searched sagas by, tokens of timers, reasons of rejections, errors' texts",
        until: null,
      },
    ];
  }

  #wanted(target: Exclude<ErasureTarget, { readonly subject: string }>) {
    const { topic = null } = target;
    if ('messageId' in target) return { keys: [], messageId: target.messageId.toLowerCase(), topic };
    return { keys: this.sealer.storedKeys(target.key), messageId: null, topic };
  }
}

function parts(counts: Readonly<Record<string, number>>): ErasedPart[] {
  return Object.entries(counts).flatMap(([where, rows]) => (rows > 0 ? [{ where, rows }] : []));
}

function nameOf(target: ErasureTarget): string {
  if ('subject' in target) return `subject ${subjectHash(target.subject).toString('hex')}`;
  return 'key' in target ? `key ${digest(target.key)}` : `message ${target.messageId}`;
}

function assertTarget(target: ErasureTarget): void {
  const [given] = (['subject', 'key', 'messageId'] as const).flatMap((name) => {
    const value = (target as Readonly<Record<string, unknown>>)[name];
    return value === undefined ? [] : [{ name, value }];
  });
  const refuse = (problem: string): never => {
    throw new ConfigurationError('Nothing was erased', [problem]);
  };
  if (given === undefined || typeof given.value !== 'string' || given.value === '')
    return refuse('it must name a subject, a key or a messageId, as a string');
  if (given.name === 'messageId' && !isId(given.value)) refuse('messageId must be a UUID');
}
