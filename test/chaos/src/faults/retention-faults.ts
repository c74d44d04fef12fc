import { groupLag } from '@waybill/log/postgres';
import { waitUntil } from '@waybill/testing';
import { TOPIC } from '../load/topic.js';
import type { LoadProcess } from '../runner/load-process.js';
import type { Fault, FaultTargets } from './fault.js';

const SLOW_GROUP = 'by-partition';
const OTHER_GROUP = 'by-key';
const RETENTION_MS = 6_000;
/** How long the log may take to drop what is past retention, in milliseconds. */
const DROP_MS = 20_000;
/** How long the other group may take to read what is waiting, in milliseconds; and what lag is none, in records of a partition. */
const QUICK_MS = 60_000;
const QUICK_RECORDS = 50;

const consumersOf = (group: string, processes: readonly LoadProcess[]): LoadProcess[] =>
  processes.filter(({ name }) => name.startsWith(`consumer-${group}`));

/** A group stands still for several turns of the rings that hold its positions and marks. */
export const slowGroup: Fault = {
  durationMs: 14_000,
  async begin({ processes }) {
    const members = consumersOf(SLOW_GROUP, processes);
    for (const member of members) member.signal('SIGSTOP');
    return {
      detail: SLOW_GROUP,
      heal: async () => {
        for (const member of members) member.signal('SIGCONT');
      },
    };
  },
};

/**
 * Retention passes a group that stands still: it loses records that it has not read, and an operator sets its positions to the
 * start of the log. The other groups lose nothing.
 */
export const retentionPasses: Fault = {
  durationMs: 8_000,
  async begin(targets) {
    const { processes, bus } = targets;
    const members = consumersOf(SLOW_GROUP, processes);
    await othersAreQuick(targets);
    for (const member of members) await member.kill();
    const { rows } = await bus.pool.query<{ name: string; retention: string }>(
      'select name, retention_ms::text as retention from waybill_bus.topic',
    );
    await bus.pool.query('update waybill_bus.topic set retention_ms = $1', [RETENTION_MS]);
    return {
      detail: SLOW_GROUP,
      heal: async () => {
        await passed(targets);
        for (const { name, retention } of rows)
          await bus.pool.query('update waybill_bus.topic set retention_ms = $2 where name = $1', [
            name,
            retention,
          ]);
        for (const member of members) await member.start();
        await continueFromTheStart(targets);
      },
    };
  },
};

/**
 * Waits until the other group has read everything: retention must pass one group only. One that stays slow is a stall, which
 * the checkers report.
 */
async function othersAreQuick({ bus }: FaultTargets): Promise<void> {
  const isQuick = async (): Promise<boolean> =>
    (await groupLag(bus.session, OTHER_GROUP)).every(({ lag }) => lag < QUICK_RECORDS);
  await waitUntil(isQuick, { describe: `${OTHER_GROUP} is quick`, timeoutMs: QUICK_MS }).catch(() => {});
}

const STARTS = `
  select p.id as "partitionId", p.number as partition, l.start_offset::integer as "upTo"
    from waybill_bus.topic t
    join waybill_bus.topic_partition p on p.topic_id = t.id
   cross join lateral waybill_bus.log_offsets(array[p.id]) l
   where t.name = $1`;
const POSITION = `
  select c.position::integer as "from" from waybill.consumer_position c
    join waybill.consumer_group g on g.id = c.group_id and g.name = $1
   where c.partition_id = $2
   order by c.owner_epoch desc, c.position desc limit 1`;

interface LostRange {
  readonly partitionId: number;
  readonly partition: number;
  readonly from: number;
  readonly upTo: number;
}

/** What retention has taken from the group before it was read. */
async function lostRanges({ database, bus }: FaultTargets): Promise<LostRange[]> {
  const ranges: LostRange[] = [];
  for (const start of (await bus.pool.query<Omit<LostRange, 'from'>>(STARTS, [TOPIC])).rows) {
    const { rows } = await database.pool.query<Pick<LostRange, 'from'>>(POSITION, [
      SLOW_GROUP,
      start.partitionId,
    ]);
    const [position] = rows;
    if (position !== undefined && position.from < start.upTo) ranges.push({ ...start, ...position });
  }
  return ranges;
}

/** Waits until retention has passed the group in some partition; if it does not, nothing is lost, and the run goes on. */
async function passed(targets: FaultTargets): Promise<void> {
  const isPassed = async (): Promise<boolean> => (await lostRanges(targets)).length > 0;
  await waitUntil(isPassed, {
    describe: `retention passes ${SLOW_GROUP}`,
    timeoutMs: DROP_MS,
    intervalMs: 200,
  }).catch(() => {});
}

/** What an operator does: docs/OPERATIONS.md, "A group has lost records". What is lost is noted. */
async function continueFromTheStart(targets: FaultTargets): Promise<void> {
  const { database, log } = targets;
  await log.catchUp();
  for (const { partitionId, partition, from, upTo } of await lostRanges(targets)) {
    const lost = log.records
      .filter((one) => one.partition === partition && one.offset >= from && one.offset < upTo)
      .map(({ n }) => n);
    await database.pool.query(
      `insert into lost_to_retention (consumer, n)
       select $1, n from unnest($2::integer[]) n
        where not exists (select from ledger l where l.consumer = $1 and l.n = n.n)`,
      [SLOW_GROUP, lost],
    );
    await database.pool.query(
      `with taken as (
         update waybill.progress_owner o set owner_epoch = o.owner_epoch + 1
           from waybill.consumer_group g
          where g.name = $1 and o.group_id = g.id and o.partition_id = $2
         returning o.group_id, o.partition_id, o.owner_epoch)
       insert into waybill.consumer_position (group_id, partition_id, owner_epoch, position, in_flight_end)
       select k.group_id, k.partition_id, k.owner_epoch, $3::bigint, $3::bigint from taken k`,
      [SLOW_GROUP, partitionId, upTo],
    );
  }
}
