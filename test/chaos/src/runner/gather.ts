import { DeadLetters } from '@waybill/dead-letter';
import type { PgDatabase } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import type { Evidence, LedgerRow, OpenDeadLetter, ScheduledMessage } from '../checkers/evidence.js';
import { readHistory } from '../history/read-history.js';
import { TOPIC } from '../load/topic.js';
import { LogFollower } from './log-follower.js';
import { GROUPS } from './programs.js';
import { readOwners } from './owner-tables.js';
import { readPasses } from './pass-tables.js';
import { readBank, readSagas } from './saga-tables.js';
import type { System } from './system.js';

type Payload = { readonly n: number };

/** Reads what the databases hold at the end of a run, and what was recorded. `follower` has read the log all along. */
export async function gather(system: System, follower: LogFollower, folder: string): Promise<Evidence> {
  await follower.catchUp();
  const again = new LogFollower(system);
  await again.catchUp();
  const { rows } = await system.database.pool.query<{ n: number }>('select n from published');
  return {
    history: readHistory(folder),
    committed: new Set(rows.map(({ n }) => n)),
    log: follower.records,
    logAgain: again.records,
    lostToRetention: await readLostToRetention(system),
    ledger: [...(await readLedger(system)), ...(await readLedger({ database: system.local }))],
    deadLetters: [
      ...(await readDeadLetters(system.database, system)),
      ...(await readDeadLetters(system.local, system)),
    ],
    scheduled: await readScheduled(system),
    halves: await readHalves(system),
    owned: [...(await readOwners(system.database.pool)), ...(await readOwners(system.local.pool))],
    passes: await Promise.all(
      [...new Set([system.database.pool, system.sagas.pool])].map((pool) =>
        readPasses(pool, system.bus.pool),
      ),
    ),
    sagas: await readSagas(system.sagas.pool),
    bank: await readBank(system.sagas.pool),
    groups: Object.keys(GROUPS),
  };
}

async function readLedger({ database }: Pick<System, 'database'>): Promise<LedgerRow[]> {
  const { rows } = await database.pool.query<LedgerRow>(
    `select id::integer as id, consumer as "group", n, partition, log_offset::integer as "offset", attempt, delivery,
            extract(epoch from at)::double precision * 1000 as "atMs"
       from ledger order by id`,
  );
  return rows;
}

async function readLostToRetention({ database }: System): Promise<ReadonlySet<string>> {
  const { rows } = await database.pool.query<{ id: string }>(
    "select consumer || ' ' || n as id from lost_to_retention",
  );
  return new Set(rows.map(({ id }) => id));
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

/** @param database of the service whose dead letters they are */
async function readDeadLetters(database: PgDatabase, { bus }: System): Promise<OpenDeadLetter[]> {
  const letters = new DeadLetters(database, new PostgresLogEngine(bus, { service: database }));
  const found: OpenDeadLetter[] = [];
  for await (const { group, payload, reason } of letters.export({ topic: TOPIC }))
    found.push({ group, n: (JSON.parse(String(payload)) as Payload).n, reason });
  return found;
}
