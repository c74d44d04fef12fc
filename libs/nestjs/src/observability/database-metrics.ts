import { parkedBacklogs } from '@waybill/consumer/internal';
import { groupBacklogs, oldestTransaction } from '@waybill/log/postgres/internal';
import { deadLetterBacklogs } from '@waybill/dead-letter/internal';
import type { Waybill } from '../instance/waybill.js';
import { type Metric, type MetricSample, single } from '../metrics/exposition.js';
import { outboxMetrics } from './outbox-metrics.js';

type Labels = Readonly<Record<string, string>>;
type GroupBacklog = Awaited<ReturnType<typeof readGroups>>[number];

/** States of active sagas. All are shown, also those without sagas. */
const SAGA_STATES = ['RUNNING', 'COMPENSATING', 'STUCK'] as const;

/**
 * Metrics from the databases; every process reports the same. The statements run one after the other, so that they
 * never use more than one connection.
 * @param perPartition whether the lag of each partition is a separate series
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

/** Lags of one topic are summed; the age is that of the oldest record. */
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
      help: 'Age of the oldest record in the log that the group has not finished; 0 when there is none.',
      samples: all.map(({ labels, oldestMs }) => ({ labels, value: seconds(oldestMs) })),
    },
  ];
}

/** Messages that are stored outside of the log: parked ones and dead letters. */
async function asideMetrics({ database }: Waybill): Promise<Metric[]> {
  const parked = await database.session.run(parkedBacklogs);
  const dead = await database.session.run(deadLetterBacklogs);
  return [
    ofGroups(
      'waybill_parked_messages',
      'Parked messages, waiting outside of the log; up to 100,000.',
      parked,
      (row) => row.parked,
    ),
    ofGroups(
      'waybill_parked_oldest_age_seconds',
      'How long the oldest parked message has waited.',
      parked,
      (row) => seconds(row.oldestAgeMs),
    ),
    ofGroups(
      'waybill_dlq_messages',
      'Open dead letters, which no operator has decided on; up to 100,000.',
      dead,
      (row) => row.open,
    ),
    ofGroups('waybill_dlq_oldest_age_seconds', 'Age of the oldest open dead letter.', dead, (row) =>
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
      'Age of the oldest half message without a verdict; 0 when there is none.',
      seconds(oldestOpenAgeMs),
    ),
    single('waybill_half_undecided', 'gauge', 'Half messages that an operator has to decide on.', undecided),
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
      help: 'Active sagas. Stuck ones wait for an operator.',
      samples: samples((row) => row?.sagas ?? 0),
    },
    {
      name: 'waybill_saga_oldest_age_seconds',
      type: 'gauge',
      help: 'Seconds since the oldest active saga was started; 0 when there is none.',
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
      'How long the oldest timer has been due; 0 when none is.',
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
    help: 'How long the oldest transaction that holds back vacuum has been open; 0 when there is none.',
    samples,
  };
}

/** Never below 0: a clock may have been set back. */
function seconds(ms: number | null | undefined): number {
  return Math.max(0, ms ?? 0) / 1_000;
}
