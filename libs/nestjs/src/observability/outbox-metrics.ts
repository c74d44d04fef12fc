import { outboxBacklog } from '@waybill/outbox';
import { outboxBacklogs, OutboxQuarantine, outboxSize } from '@waybill/outbox/internal';
import type { Waybill } from '../instance/waybill.js';
import { type Metric, type MetricSample, single } from '../metrics/exposition.js';

/** Maximum number of topics and roles with a series, the largest first: publishers choose the names. */
const MOST_SERIES = 50;

/** Messages that wait for the relay or that it has quarantined. */
export async function outboxMetrics({ database }: Waybill): Promise<Metric[]> {
  const { session } = database;
  const { waiting, oldestAgeMs } = await outboxBacklog(session);
  const backlogs = await outboxBacklogs(session, MOST_SERIES);
  const quarantined = await new OutboxQuarantine(database).backlogs(MOST_SERIES);
  const size = await outboxSize(session);
  const samples = (value: (row: (typeof backlogs)[number]) => number): MetricSample[] =>
    backlogs.map((row) => ({ labels: { topic: row.topic, role: row.role }, value: value(row) }));
  return [
    single(
      'waybill_outbox_pending',
      'gauge',
      'Committed messages that the relay has not yet moved; up to 100,000.',
      waiting,
    ),
    single(
      'waybill_outbox_oldest_age_seconds',
      'gauge',
      'Age of the oldest message that waits for the relay; 0 when none waits.',
      Math.max(0, oldestAgeMs ?? 0) / 1_000,
    ),
    single(
      'waybill_outbox_size_bytes',
      'gauge',
      'Disk space that the outbox uses, moved messages included.',
      size,
    ),
    {
      name: 'waybill_outbox_backlog_messages',
      type: 'gauge',
      help: 'Messages that wait for the relay, by topic and the login that published them; the largest 50.',
      samples: samples(({ waiting: some }) => some),
    },
    {
      name: 'waybill_outbox_backlog_bytes',
      type: 'gauge',
      help: 'Bytes of payloads and keys of the messages that wait for the relay.',
      samples: samples(({ bytes }) => bytes),
    },
    {
      name: 'waybill_outbox_backlog_age_seconds',
      type: 'gauge',
      help: 'Age of the oldest message that waits for the relay.',
      samples: samples(({ oldestAgeMs: age }) => Math.max(0, age) / 1_000),
    },
    {
      name: 'waybill_outbox_refused',
      type: 'gauge',
      help: 'Whether new messages of a topic are refused because too many wait.',
      samples: backlogs.map(({ topic, role, full }) => ({
        labels: { topic, role },
        value: full === null ? 0 : 1,
      })),
    },
    {
      name: 'waybill_quarantine_messages',
      type: 'gauge',
      help: 'Messages that could not be moved, or published when they were due, by topic and reason; the largest 50.',
      samples: quarantined.map(({ topic, code, messages }) => ({
        labels: { topic, reason: code },
        value: messages,
      })),
    },
  ];
}
