import { DeadLetters } from '@waybill/dead-letter';
import { decodeBatch, LogReader, LogSignals } from '@waybill/log';
import { MESSAGE_ID_HEADER } from '@waybill/log/internal';
import type {
  Evidence,
  LedgerRow,
  LoggedRecord,
  OpenDeadLetter,
  ScheduledMessage,
} from '../checkers/evidence.js';
import { readHistory } from '../history/read-history.js';
import { TOPIC } from '../load/topic.js';
import { GROUPS } from './programs.js';
import { readOwners } from './owner-tables.js';
import { readBank, readSagas } from './saga-tables.js';
import type { System } from './system.js';

type Payload = { readonly n: number; readonly key: string; readonly turn: number };

/** Reads what the databases hold at the end of a run, and what was recorded. */
export async function gather(system: System, folder: string): Promise<Evidence> {
  const { rows } = await system.database.pool.query<{ n: number }>('select n from published');
  return {
    history: readHistory(folder),
    committed: new Set(rows.map(({ n }) => n)),
    log: await readLog(system),
    ledger: [...(await readLedger(system)), ...(await readLedger({ database: system.local }))],
    deadLetters: await readDeadLetters(system),
    scheduled: await readScheduled(system),
    halves: await readHalves(system),
    owned: await readOwners(system.database.pool),
    sagas: await readSagas(system.database.pool),
    bank: await readBank(system.database.pool),
    groups: Object.keys(GROUPS),
  };
}

async function readLog({ database, topics }: System): Promise<LoggedRecord[]> {
  const { partitionIds } = await topics.get(TOPIC);
  const reader = new LogReader(database, topics);
  const records: LoggedRecord[] = [];
  for (const [partition, partitionId] of partitionIds.entries()) {
    const { startOffset, endOffset } = (await reader.offsets([partitionId])).get(partitionId) ?? {
      startOffset: 0,
      endOffset: 0,
    };
    for (let offset = startOffset; offset < endOffset;) {
      const { batches } = await reader.fetch([{ partitionId, offset }]);
      for (const batch of batches) {
        for (const record of decodeBatch(batch.data, { fromOffset: offset })) {
          const id = record.headers.find(({ key }) => key === MESSAGE_ID_HEADER)?.value?.toString() ?? '';
          const { n, key, turn } = JSON.parse(String(record.value)) as Payload;
          records.push({ partition, offset: record.offset, messageId: id, n, key, turn });
        }
        offset = batch.lastOffset + 1;
      }
    }
  }
  return records;
}

async function readLedger({ database }: Pick<System, 'database'>): Promise<LedgerRow[]> {
  const { rows } = await database.pool.query<LedgerRow>(
    `select id::integer as id, consumer as "group", n, partition, log_offset::integer as "offset", attempt, delivery,
            extract(epoch from at)::double precision * 1000 as "atMs"
       from ledger order by id`,
  );
  return rows;
}

async function readHalves({ database, local }: System): Promise<Evidence['halves']> {
  const done = await local.pool.query<{ n: number }>('select n from half_done');
  const effects = await database.pool.query<{ n: number }>('select n from half_ledger');
  return { committed: new Set(done.rows.map(({ n }) => n)), effects: effects.rows.map(({ n }) => n) };
}

async function readScheduled({ database }: System): Promise<ScheduledMessage[]> {
  const { rows } = await database.pool.query<ScheduledMessage>(
    `select s.n, extract(epoch from s.due_at)::double precision * 1000 as "dueAtMs",
            array(select extract(epoch from l.at)::double precision * 1000 from later_ledger l where l.n = s.n) as "effectsAtMs"
       from scheduled s`,
  );
  return rows;
}

async function readDeadLetters({ database, topics }: System): Promise<OpenDeadLetter[]> {
  const letters = new DeadLetters(database, topics, new LogSignals(database));
  const found: OpenDeadLetter[] = [];
  for (const letter of await letters.list()) {
    const { payload } = await letters.show(letter.id);
    found.push({ group: letter.group, n: (JSON.parse(String(payload)) as Payload).n, reason: letter.reason });
  }
  return found;
}
