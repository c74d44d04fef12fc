import type { Waybill } from '../instance/waybill.js';
import { type Metric, single } from '../metrics/exposition.js';

/** Metrics of this process itself. What does not run here has no series. */
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
      'Seconds since the relay of this process last polled the outbox without an error.',
      ageMs === undefined ? undefined : ageMs / 1_000,
    ),
    single(
      'waybill_quarantined_total',
      'counter',
      'Messages that the relay and the timers of this process have quarantined because they could not be moved.',
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
      'Whether no heartbeat of this process has succeeded for the length of its lease.',
      status?.leaseLapsed,
    ),
    handlerDurations.metric,
    single('waybill_done_total', 'counter', 'Messages that were handled successfully.', counts?.done),
    single(
      'waybill_retries_total',
      'counter',
      'Failed attempts of handlers. Each is retried unless its message becomes a dead letter.',
      failed,
    ),
    single(
      'waybill_dead_letters_total',
      'counter',
      'Messages that became dead letters.',
      counts?.deadLetters,
    ),
    single('waybill_dropped_total', 'counter', 'Messages that were dropped.', counts?.dropped),
    single(
      'waybill_expired_total',
      'counter',
      'Messages that expired before they were handled.',
      counts?.expired,
    ),
    single(
      'waybill_parked_total',
      'counter',
      'Messages that were parked to wait outside of the log.',
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
      help: 'Checks of half messages by this process, by result.',
      samples: checks.map(([outcome, value]) => ({ labels: { outcome }, value })),
    },
    single(
      'waybill_dead_letters_expired_total',
      'counter',
      'Open dead letters that the retention loop of this process has removed because of retention.deadLetters.openMs.',
      expiredDeadLetters,
    ),
    single('waybill_timers_fired_total', 'counter', 'Timers that this process has fired.', status?.fired),
    single(
      'waybill_timers_degraded',
      'gauge',
      'Whether PostgreSQL replaces Redis as the clock of timers because Redis is unavailable.',
      status?.degraded,
    ),
  ];
}

function refusals({ sagas }: Waybill): Metric {
  return single(
    'waybill_saga_refused_total',
    'counter',
    'Messages to sagas that were dropped, because the service itself did not send them: probably forged.',
    sagas.refused,
  );
}

function skippedEvents({ sagas }: Waybill): Metric {
  return single(
    'waybill_saga_events_skipped_total',
    'counter',
    'Events that a step of a saga may wait for, but without a value to match by.',
    sagas.skippedEvents,
  );
}

function forgedLeases({ guards }: Waybill): Metric {
  return single(
    'waybill_leases_forged_total',
    'counter',
    'Lease values in Redis that this service did not write: probably forged.',
    guards.forgedLeases,
  );
}
