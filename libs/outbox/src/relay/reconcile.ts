import {
  LogWentBackError,
  type Logger,
  type PgDatabase,
  silentLogger,
  SourceDivergedError,
} from '@waybill/kernel';
import { isRightMissing } from '@waybill/kernel/internal';
import { bindService, decodeBatch, type LogEngine, type LoggedPass } from '@waybill/log';
import { MESSAGE_ID_HEADER } from '@waybill/log/internal';
import { forgetPublished, relayIntents, relayNewest, relayReconcile } from '../statements.generated.js';
import { type LostPasses, lostPasses } from './lost-passes.js';

/** What a reconciliation finds, before it changes anything. */
export interface Disagreement {
  readonly serviceId: string;
  /** The newest pass that the service's database and the log both know. */
  readonly commonN: number;
  /** The newest pass of the log, and its token. */
  readonly busN: number;
  readonly busToken: string;
  /** Ids of the messages that the log holds, of passes that the service's database does not know. */
  readonly onlyInLog: readonly string[];
  /** What the log has lost and the outbox does not keep any more. */
  readonly lost: LostPasses | undefined;
}

/** Ids in one line of the log. */
const REPORTED = 100;
/** How many passes are compared at a time. */
const COMPARED = 1_000;

/**
 * Finds where the log and a service's database disagree about what was handed over.
 * @throws LogWentBackError when the log lacks what it had confirmed, and is not healed: then it is the log that went back
 */
export async function findDisagreement(database: PgDatabase, log: LogEngine): Promise<Disagreement> {
  const { busId, logEpoch } = await log.identity();
  const { serviceId, logEpoch: caughtUp } = await bindService(database.session, busId, logEpoch);
  // Read before the question: what was answered by then, the log holds.
  const [before] = await database.session.run(relayNewest);
  const confirmedN = before?.confirmedN ?? 0;
  const state = await log.askSource(serviceId);
  const [newest] = await database.session.run(relayNewest);
  if (state.n < confirmedN && caughtUp >= logEpoch)
    throw new LogWentBackError(
      `The log holds passes of service ${serviceId} up to ${state.n}, and had confirmed ${confirmedN}`,
    );
  const busToken = state.token ?? newest?.token ?? '';
  let commonN = 0;
  for (let to = Math.min(state.n, newest?.n ?? 0); to > 0 && commonN === 0; to -= COMPARED) {
    const from = Math.max(1, to - COMPARED + 1);
    const logged = await log.passesOf(serviceId, from);
    const own = await database.session.run(relayIntents, from, to);
    const tokens = new Set(own.map(({ token }) => token));
    commonN = logged.findLast(({ n, token }) => n <= to && tokens.has(token))?.n ?? 0;
  }
  const [oldest] = await database.session.run(relayIntents, 0, newest?.n ?? 0);
  const isForgotten = state.n < (oldest?.n ?? 0);
  if (commonN === 0 && state.n > 0 && !isForgotten && confirmedN > 0)
    throw new LogWentBackError(`The log and this database know no pass of service ${serviceId} together`);
  const beyond = state.n > commonN ? await log.passesOf(serviceId, commonN + 1) : [];
  const onlyInLog: string[] = [];
  for (const pass of beyond) onlyInLog.push(...(await idsOf(log, pass)));
  const lost = await lostPasses(database.session, state.n);
  return { serviceId, commonN, busN: state.n, busToken, onlyInLog, lost };
}

/**
 * Starts the relay over after the service's database was restored, lost a tail, or was loaded into another cluster: messages
 * that are not in the log are kept, and will be moved. To be called with all publishers stopped.
 * @returns the number of messages and timer changes that are kept
 */
export async function reconcile(database: PgDatabase, found: Disagreement): Promise<number> {
  const { commonN, busN, busToken, onlyInLog } = found;
  return database.transaction(async (connection) => {
    const [row] = await connection.run(relayReconcile, commonN, busN, busToken, onlyInLog);
    const [removed] = await connection.run(forgetPublished, onlyInLog);
    return (row?.kept ?? 0) - (removed?.forgotten ?? 0);
  });
}

/**
 * Reconciles without an operator, and says in the log what one would have been shown.
 * @throws SourceDivergedError when the relay's login does not own the tables
 */
export async function reconcileAlone({
  database,
  log,
  logger = silentLogger,
}: {
  database: PgDatabase;
  log: LogEngine;
  logger?: Logger;
}): Promise<void> {
  const found = await findDisagreement(database, log);
  const { serviceId, commonN, busN, onlyInLog } = found;
  let kept: number;
  try {
    kept = await reconcile(database, found);
  } catch (error) {
    if (!isRightMissing(error)) throw error;
    throw new SourceDivergedError(
      `The log holds pass ${busN} of service ${serviceId}, and this database does not know it. The relay may not reconcile by ` +
        `itself, as its option onDivergence asks: its login does not own Waybill's tables`,
      { cause: error },
    );
  }
  logger.warn(
    `the database of service ${serviceId} went back: the log has its passes up to ${busN}, and both know pass ${commonN}. ` +
      `The relay has started over; ${kept} messages wait to be moved`,
  );
  for (let from = 0; from < onlyInLog.length; from += REPORTED)
    logger.warn(
      `consumers have messages of service ${serviceId} whose transactions its database does not know any more: ` +
        onlyInLog.slice(from, from + REPORTED).join(', '),
    );
}

/** The ids of the messages of a pass, read from the log. */
async function idsOf(
  log: LogEngine,
  { partitionIds, baseOffsets, lastOffsets }: LoggedPass,
): Promise<string[]> {
  const ids: string[] = [];
  for (const [index, partitionId] of partitionIds.entries()) {
    const last = lastOffsets[index] as number;
    for (let offset = baseOffsets[index] as number; offset <= last;) {
      const { batches } = await log.fetch([{ partitionId, offset }]);
      const before = offset;
      for (const batch of batches) {
        for (const record of decodeBatch(batch.data)) {
          if (record.offset < offset || record.offset > last) continue;
          const id = record.headers.find(({ key }) => key.toString() === MESSAGE_ID_HEADER)?.value;
          if (id) ids.push(id.toString());
        }
        offset = Math.max(offset, batch.lastOffset + 1);
      }
      if (offset === before) break;
    }
  }
  return ids;
}
