import { parkedBacklogs } from '@waybill/consumer/internal';
import { groupBacklogs, oldestTransaction } from '@waybill/log/internal';
import { deadLetterBacklogs } from '@waybill/dead-letter/internal';
import type { Waybill } from '../instance/waybill.js';
import { type Metric, type MetricSample, single } from '../metrics/exposition.js';
import { outboxMetrics } from './outbox-metrics.js';

type Labels = Readonly<Record<string, string>>;
type GroupBacklog = Awaited<ReturnType<typeof readGroups>>[number];

/** States of sagas under way. All are shown, also those in which there is none. */
const SAGA_STATES = ['RUNNING', 'COMPENSATING', 'STUCK'] as const;

/**
 * What the databases say; every process that is asked says the same. The statements run one after the other, so that
 * they never take more than one connection.
 * @param perPartition whether the lag of each partition is a series of its own
 */
export async function databaseMetrics(waybill: Waybill, perPartition: boolean): Promise<Metric[]> {
  return [
    ...(await outboxMetrics(waybill)),
    ...lagMetrics(await readGroups(waybill), perPartition),
    ...(await asideMetrics(waybill)),
    ...(await halfMetrics(waybill)),
    ...(await sagaMetrics(waybill)),
    ...(await timerMetrics(waybill)),
    await transactionMetric(waybill),
  ];
}

function readGroups({ bus }: Waybill) {
  return bus.session.run(groupBacklogs);
}

/** Lags of one topic are added up; the age is that of the oldest. */
function lagMetrics(rows: readonly GroupBacklog[], perPartition: boolean): Metric[] {
  const series = new Map<string, { labels: Labels; lag: number; oldestMs: number }>();
  for (const { groupName: group, topic, number, lag, oldestAgeMs } of rows) {
    const labels = { group, topic, ...(perPartition ? { partition: String(number) } : {}) };
    const id = JSON.stringify(labels);
    const found = series.get(id) ?? { labels, lag: 0, oldestMs: 0 };
    found.lag += lag;
    found.oldestMs = Math.max(found.oldestMs, oldestAgeMs ?? 0);
    series.set(id, found);
  }
  const all = [...series.values()];
  return [
    {
      name: 'waybill_consumer_lag',
      type: 'gauge',
      help: 'Records between the position of a group and the end of the log.',
      samples: all.map(({ labels, lag }) => ({ labels, value: lag })),
    },
    {
      name: 'waybill_consumer_lag_seconds',
      type: 'gauge',
      help: 'For how long the oldest record that the group has not done stands in the log; 0 when there is none.',
      samples: all.map(({ labels, oldestMs }) => ({ labels, value: seconds(oldestMs) })),
    },
  ];
}

/** Messages that are not in their place in the log any more: parked ones and dead letters. */
async function asideMetrics({ bus }: Waybill): Promise<Metric[]> {
  const parked = await bus.session.run(parkedBacklogs);
  const dead = await bus.session.run(deadLetterBacklogs);
  return [
    ofGroups(
      'waybill_parked_messages',
      'Messages that wait beside the log; up to 100,000.',
      parked,
      (row) => row.parked,
    ),
    ofGroups('waybill_parked_oldest_age_seconds', 'For how long the oldest of them waits.', parked, (row) =>
      seconds(row.oldestAgeMs),
    ),
    ofGroups(
      'waybill_dlq_messages',
      'Dead letters about which nobody has decided; up to 100,000.',
      dead,
      (row) => row.open,
    ),
    ofGroups('waybill_dlq_oldest_age_seconds', 'Age of the oldest of them.', dead, (row) =>
      seconds(row.oldestAgeMs),
    ),
  ];
}

function ofGroups<Row extends { groupName: string; topic: string }>(
  name: string,
  help: string,
  rows: readonly Row[],
  valueOf: (row: Row) => number,
): Metric {
  const samples = rows.map((row): MetricSample => ({
    labels: { group: row.groupName, topic: row.topic },
    value: valueOf(row),
  }));
  return { name, type: 'gauge', help, samples };
}

async function halfMetrics({ halves }: Waybill): Promise<Metric[]> {
  const { open, undecided, oldestOpenAgeMs } = await halves.operations.stats();
  return [
    single('waybill_half_pending', 'gauge', 'Half messages without a verdict; up to 100,000.', open),
    single(
      'waybill_half_oldest_age_seconds',
      'gauge',
      'Age of the oldest of them; 0 when there is none.',
      seconds(oldestOpenAgeMs),
    ),
    single(
      'waybill_half_undecided',
      'gauge',
      'Half messages that an operator has to decide about.',
      undecided,
    ),
  ];
}

async function sagaMetrics({ sagas }: Waybill): Promise<Metric[]> {
  const stats = await sagas.operations.stats();
  const samples = (value: (row: (typeof stats)[number] | undefined) => number): MetricSample[] =>
    SAGA_STATES.map((state) => ({
      labels: { state: state.toLowerCase() },
      value: value(stats.find((row) => row.state === state)),
    }));
  return [
    {
      name: 'waybill_saga_active',
      type: 'gauge',
      help: 'Sagas under way. Stuck ones wait for an operator.',
      samples: samples((row) => row?.sagas ?? 0),
    },
    {
      name: 'waybill_saga_oldest_age_seconds',
      type: 'gauge',
      help: 'Seconds since the oldest of them was started; 0 when there is none.',
      samples: samples((row) => seconds(row?.oldestMs)),
    },
  ];
}

async function timerMetrics({ timers }: Waybill): Promise<Metric[]> {
  const { pending, overdue, oldestOverdueMs } = await timers.stats();
  return [
    single('waybill_timers_pending', 'gauge', 'Timers that have not fired; up to 100,000.', pending),
    single('waybill_timers_overdue', 'gauge', 'Timers that have been due for more than a second.', overdue),
    single(
      'waybill_timers_oldest_overdue_seconds',
      'gauge',
      'For how long the oldest timer has been due; 0 when none is.',
      seconds(oldestOverdueMs),
    ),
  ];
}

async function transactionMetric({ database, bus }: Waybill): Promise<Metric> {
  const databases = bus === database ? { service: database } : { service: database, bus };
  const samples: MetricSample[] = [];
  for (const [name, { session }] of Object.entries(databases)) {
    const [row] = await session.run(oldestTransaction);
    samples.push({ labels: { database: name }, value: seconds(row?.ageMs) });
  }
  return {
    name: 'waybill_pg_oldest_xmin_age_seconds',
    type: 'gauge',
    help: 'For how long the oldest transaction that holds back vacuum has been open; 0 when there is none.',
    samples,
  };
}

/** Never below 0: clocks may have been put back. */
function seconds(ms: number | null | undefined): number {
  return Math.max(0, ms ?? 0) / 1_000;
}
