import { createHash } from 'node:crypto';
import {
  bindStatement,
  ConfigurationError,
  isId,
  type Operator,
  type PgConnection,
  type PgDatabase,
} from '@waybill/kernel';
import { type LogSignals, Sealer, type Topics } from '@waybill/log';
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

/** What is to be erased: all that belongs to a subject, to the messages of a key, or to one message. */
export type ErasureTarget =
  | {
      readonly subject: string;
      /** Whether sagas under way end stuck. Default false: then it is refused. */ readonly stopSagas?: boolean;
    }
  | { readonly key: string; readonly topic?: string }
  | { readonly messageId: string; readonly topic?: string };

/** How an erasure is done. */
export interface ErasureOptions {
  /** Only says what would be done. Default false. */
  readonly dryRun?: boolean;
}

/** Thrown inside to roll back what was only tried. */
class DryRunRollbackError extends Error {
  constructor(readonly report: ErasureReport) {
    super('it was only tried');
  }
}

const KIND = 'erasure';
/** What an erasure is called in the record of operators' decisions: the name and the key themselves are to be forgotten. */
const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * Erases what must be forgotten. Of a subject the keys are destroyed: what was encrypted with them is unreadable wherever
 * it stands, in the log and in every backup of it as well. Of a key or a message rows are removed and emptied, and the
 * report says where something is left.
 */
export class Erasure {
  /** @param sealer knows the pseudonyms of keys, where they are encrypted. Default: one without a cipher */
  constructor(
    private readonly bus: PgDatabase,
    private readonly topics: Topics,
    private readonly signals?: LogSignals,
    private readonly sealer: Sealer = Sealer.none,
  ) {}

  /** @throws ConfigurationError for a target that is not usable, or a subject with sagas under way */
  async erase(
    target: ErasureTarget,
    operator: Operator & { readonly reason: string },
    { dryRun = false }: ErasureOptions = {},
  ): Promise<ErasureReport> {
    assertTarget(target);
    const what = nameOf(target);
    try {
      const report = await this.bus.transaction(async (connection) => {
        const done =
          'subject' in target
            ? await this.#ofSubject(connection, target.subject, target.stopSagas === true)
            : await this.#ofMessages(connection, target);
        const remains = [...(await this.#remains(target)), ...ELSEWHERE];
        if (dryRun) throw new DryRunRollbackError({ what, done, remains });
        const details = { done: Object.fromEntries(done.map(({ where, rows }) => [where, rows])) };
        await connection.runBatch([operatorAction(operator, 'erase', { kind: KIND, id: what }, details)]);
        return { what, done, remains };
      });
      this.signals?.send('redrive');
      return report;
    } catch (error) {
      if (error instanceof DryRunRollbackError) return error.report;
      throw error;
    }
  }

  /** What was erased, newest first. */
  async actions(): Promise<OperatorAction[]> {
    return operatorActions(this.bus.session, { kind: KIND });
  }

  async #ofSubject(connection: PgConnection, subject: string, stopSagas: boolean): Promise<ErasedPart[]> {
    const hash = subjectHash(subject);
    const hex = hash.toString('hex');
    // The lock first: what transactions have kept that were under way is seen behind it.
    const [row] = await connection.run(destroySubjectKeys, hash);
    const sagas = await connection.run(findSagasOfSubject, hex);
    if (sagas.length > 0 && !stopSagas)
      throw new ConfigurationError('The subject was left as it is', [
        `${sagas.length} of its sagas are under way, the first is ${sagas[0]?.type} ${sagas[0]?.id}: let them end, or say ` +
          'stopSagas (--stop-sagas), and they are stuck for good',
      ]);
    if (sagas.length > 0) await connection.runBatch([bindStatement(stopSagasOfSubject, hex)]);
    const [attributes] = await connection.run(eraseSagaAttributes, hex);
    return parts({
      'keys of the subject': row?.destroyed ?? 0,
      'sagas that are stuck now': sagas.length,
      'attributes of its sagas': attributes?.removed ?? 0,
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
    const places = await logRemainders(this.bus, this.topics, this.#wanted(target));
    return [
      ...places,
      {
        where: 'sagas, and results of guards, leases, barriers and external effects',
        why: 'they are not known by the key or the id of a message: they leave by retention; a subject reaches them at once',
        until: null,
      },
    ];
  }

  async #unreadable(subject: string): Promise<Remainder[]> {
    const hash = subjectHash(subject);
    const [row] = await this.bus.session.run(countOfSubject, hash, hash.toString('hex'));
    const counts = Object.entries(row ?? {}).filter(([, rows]) => rows > 0);
    return [
      ...counts.map(([table, rows]) => ({
        where: table,
        why: `${rows} are there as ciphertext that nobody can read any more`,
        until: null,
      })),
      {
        where: 'log',
        why: 'its records are there as ciphertext that nobody can read any more, until retention removes them',
        until: null,
      },
      {
        where: 'what is never encrypted',
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
    return refuse('it must say a subject, a key or a messageId, as a text');
  if (given.name === 'messageId' && !isId(given.value)) refuse('messageId must be a UUID');
}
