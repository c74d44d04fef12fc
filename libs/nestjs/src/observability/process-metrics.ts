import type { Waybill } from '../instance/waybill.js';
import { type Metric, single } from '../metrics/exposition.js';

/** What this process knows by itself. What does not run here has no series. */
export function processMetrics(waybill: Waybill): Metric[] {
  return [
    ...relayMetrics(waybill),
    ...consumerMetrics(waybill),
    ...backgroundMetrics(waybill),
    refusals(waybill),
    skippedEvents(waybill),
    forgedLeases(waybill),
  ];
}

function relayMetrics({ relay, scheduler }: Waybill): Metric[] {
  const ageMs = relay?.service.running === true ? relay.service.lastPassAgeMs : undefined;
  return [
    single(
      'waybill_relay_running',
      'gauge',
      'Whether the relay runs in this process.',
      relay?.service.running ?? false,
    ),
    single(
      'waybill_relay_last_pass_age_seconds',
      'gauge',
      'Seconds since the relay of this process last looked at the outbox without an error.',
      ageMs === undefined ? undefined : ageMs / 1_000,
    ),
    single(
      'waybill_quarantined_total',
      'counter',
      'Messages that the relay and the timers of this process have set aside, because they could not be moved.',
      relay === undefined && scheduler === undefined
        ? undefined
        : (relay?.quarantined ?? 0) + (scheduler?.status.quarantined ?? 0),
    ),
  ];
}

function consumerMetrics({ consumerStatus: status, handlerDurations }: Waybill): Metric[] {
  const counts = status?.counts;
  const failed = counts?.failedAttempts.reduce((sum, some) => sum + some, 0);
  return [
    single('waybill_consumer_partitions', 'gauge', 'Partitions that this process owns.', status?.partitions),
    single(
      'waybill_consumer_failed_partitions',
      'gauge',
      'Partitions of this process that cannot be consumed.',
      status?.failures.length,
    ),
    single(
      'waybill_consumer_lease_lapsed',
      'gauge',
      'Whether no heartbeat of this process has come through for as long as its lease.',
      status?.leaseLapsed,
    ),
    handlerDurations.metric,
    single('waybill_done_total', 'counter', 'Messages whose handlers have done their work.', counts?.done),
    single(
      'waybill_retries_total',
      'counter',
      'Failed attempts of handlers. Each is tried again, unless it makes its message a dead letter.',
      failed,
    ),
    single(
      'waybill_dead_letters_total',
      'counter',
      'Messages that became dead letters.',
      counts?.deadLetters,
    ),
    single('waybill_dropped_total', 'counter', 'Messages that were dropped.', counts?.dropped),
    single('waybill_expired_total', 'counter', 'Messages that were past their time.', counts?.expired),
    single(
      'waybill_parked_total',
      'counter',
      'Messages that were put beside the log to wait.',
      counts?.parked,
    ),
  ];
}

function backgroundMetrics({ halves, scheduler, expiredDeadLetters }: Waybill): Metric[] {
  const status = scheduler?.status;
  const checks = Object.entries(halves.checker?.counts ?? {});
  return [
    {
      name: 'waybill_half_checks_total',
      type: 'counter',
      help: 'Checks of half messages by this process, by what came of them.',
      samples: checks.map(([outcome, value]) => ({ labels: { outcome }, value })),
    },
    single(
      'waybill_dead_letters_expired_total',
      'counter',
      'Open dead letters that retention of this process has removed, where retention.deadLetters.openMs says so.',
      expiredDeadLetters,
    ),
    single('waybill_timers_fired_total', 'counter', 'Timers that this process has fired.', status?.fired),
    single(
      'waybill_timers_degraded',
      'gauge',
      'Whether Redis is configured as the clock of timers and PostgreSQL stands in for it.',
      status?.degraded,
    ),
  ];
}

function refusals({ sagas }: Waybill): Metric {
  return single(
    'waybill_saga_refused_total',
    'counter',
    'Messages to sagas that were dropped, because none of the service itself has sent them: somebody forges.',
    sagas.refused,
  );
}

function skippedEvents({ sagas }: Waybill): Metric {
  return single(
    'waybill_saga_events_skipped_total',
    'counter',
    'Events that a step of a saga may wait for, and that do not say whose they are.',
    sagas.skippedEvents,
  );
}

function forgedLeases({ guards }: Waybill): Metric {
  return single(
    'waybill_leases_forged_total',
    'counter',
    'What Redis said of leases and this service has not written: somebody forges.',
    guards.forgedLeases,
  );
}
