import {
  bindStatement,
  invariant,
  isWaybillError,
  type Logger,
  type PgConnection,
  type PgDatabase,
} from '@waybill/kernel';
import type { LogEngine, SourcePass } from '@waybill/log';
import { blamesMessage, rejectionOf } from '@waybill/log/internal';
import { relayAmend, relayBegin, relayRestoreVersion, setAsideRows } from '../statements.generated.js';
import type { DifferenceReader } from './difference-reader.js';
import type { Begun } from './pass.js';
import { type KnownPass, readAgain } from './read-again.js';

interface AmendmentDependencies {
  readonly database: PgDatabase;
  readonly log: LogEngine;
  readonly reader: DifferenceReader;
  readonly logger: Logger;
}

const LEASE_MS = 10_000;

/**
 * Changes stored passes. A pass of which the log refuses the messages of some topic (its login may not publish there) must not
 * stop the others: it is made again without them, under a new token, and they are set aside with the reason.
 */
export class Amendments {
  constructor(private readonly dependencies: AmendmentDependencies) {}

  /**
   * Makes a refused pass again without the messages of the topics that the log refuses.
   * @throws the refusal, when no topic is the cause
   */
  async leaveOut(refusal: unknown, sent: SourcePass, pass: KnownPass): Promise<void> {
    const { database, log, reader, logger } = this.dependencies;
    // What is refused without any message is not the fault of one.
    if (!isOfMessages(refusal) || (await log.refusalOf(sent, [])) !== undefined) throw refusal;
    const topics = await database.withConnection((connection) =>
      reader.topicsOfStored(connection, spanOf(pass)),
    );
    const refused: { readonly rowId: number; readonly topic: string; readonly error: unknown }[] = [];
    for (const [topic, rowIds] of topics) {
      const { batches } = await readAgain(database, reader, pass, topic);
      const error = batches.length === 0 ? undefined : await log.refusalOf(sent, batches);
      if (error !== undefined) refused.push(...rowIds.map((rowId) => ({ rowId, topic, error })));
    }
    const isNew = refused.filter(({ rowId }) => !pass.excluded.includes(rowId));
    if (isNew.length === 0) throw refusal;
    const reasons = isNew.map(({ error }) => rejectionOf(error));
    await this.#change(async (connection, newest) => {
      await connection.run(
        relayAmend,
        pass.n,
        newest.n,
        newest.token,
        isNew.map(({ rowId }) => rowId),
      );
      const { base, target } = pass;
      const codes = reasons.map(({ code }) => code);
      const texts = reasons.map(({ reason }) => reason);
      const ids = isNew.map(({ rowId }) => rowId);
      await connection.runBatch([bindStatement(setAsideRows, ids, codes, texts, base, target)], {
        commit: true,
      });
    });
    logger.warn(
      `the log refuses messages of ${[...new Set(isNew.map(({ topic }) => topic))].join(', ')}: ${isNew.length} of pass ` +
        `${pass.n} are quarantined (${reasons[0]?.code}: ${reasons[0]?.reason}); see waybill outbox quarantine list`,
    );
  }

  /** Goes back to an older version of a pass, which the log turns out to hold. */
  async restore(held: KnownPass): Promise<void> {
    await this.#change(async (connection, newest) => {
      const back = bindStatement(relayRestoreVersion, held.n, held.token, newest.n, newest.token);
      await connection.runBatch([back], { commit: true });
    });
  }

  /** Changes passes under the relay's lock. While another relay is in a pass, nothing is changed: the next look repeats it. */
  async #change(work: (connection: PgConnection, newest: Begun) => Promise<void>): Promise<void> {
    await this.dependencies.database.withConnection(async (connection) => {
      try {
        const [rows] = await connection.runBatch([bindStatement(relayBegin, 0, LEASE_MS)], { begin: true });
        const begun = (rows as Begun[])[0];
        invariant(begun !== undefined, 'relay_begin returned no row');
        if (begun.state === 'busy') await connection.rollback();
        else await work(connection, begun);
      } catch (error) {
        await connection.rollback();
        throw error;
      }
    });
  }
}

/** Whether the log refuses what a pass holds, not the pass. */
function isOfMessages(refusal: unknown): boolean {
  return blamesMessage(refusal) || (isWaybillError(refusal) && refusal.code === 'ACCESS_DENIED');
}

function spanOf({ base, target, afterId, uptoId }: KnownPass) {
  return { base, target, window: { after: afterId, upTo: uptoId } };
}
