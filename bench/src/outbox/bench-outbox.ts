import { ensurePostgres } from '@waybill/testing';
import type { Report } from '../main.js';
import { inPlace, type Place } from '../place.js';
import { rounded } from '../statistics.js';
import { measureDrain } from './drain.js';
import { measureLatency } from './latency.js';
import { measureProducers } from './producers.js';

/** Results of `npm run bench -- outbox`. */
export interface OutboxFigures {
  /** Business transactions per second with one outbox row, relative to those without; 16 connections. */
  readonly producerRatio: number;
  /** Messages per second that the relay moves from a backlog of 200,000 of 200 bytes. */
  readonly drainPerSecond: number;
  /** From the publisher's commit to the handler, at 500 messages per second. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Drain rate while another session holds a snapshot, relative to the rate without. */
  readonly heldSnapshotRatio: number;
}

/** Runs the four measurements, each on a separate database that is service and bus. */
export async function benchOutbox(report: Report): Promise<OutboxFigures> {
  const server = await ensurePostgres();
  const onFreshDatabase = <T>(measure: (place: Place) => Promise<T>): Promise<T> =>
    inPlace(server, undefined, measure);
  try {
    const producerRatio = await onFreshDatabase(({ service }) => measureProducers(service, report));
    const drain = await onFreshDatabase((place) => measureDrain(place, report));
    const latency = await onFreshDatabase((place) => measureLatency(place, report));
    return {
      producerRatio: rounded(producerRatio, 3),
      drainPerSecond: Math.round(drain.perSecond),
      p50Ms: rounded(latency.p50Ms, 2),
      p99Ms: rounded(latency.p99Ms, 2),
      heldSnapshotRatio: rounded(drain.heldSnapshotRatio, 3),
    };
  } finally {
    await server.stop();
  }
}
