import { migrate } from '@waybill/schema';
import { createDatabase, ensurePostgres } from '@waybill/testing';
import type { Report } from '../main.js';
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

/** Runs the four measurements, each on a separate database. */
export async function benchOutbox(report: Report): Promise<OutboxFigures> {
  const server = await ensurePostgres();
  const onFreshDatabase = async <T>(measure: (connectionString: string) => Promise<T>): Promise<T> => {
    const database = await createDatabase(server, 'bench');
    try {
      await migrate({ connectionString: database.connectionString });
      return await measure(database.connectionString);
    } finally {
      await database.drop();
    }
  };
  try {
    const producerRatio = await onFreshDatabase((url) => measureProducers(url, report));
    const drain = await onFreshDatabase((url) => measureDrain(url, report));
    const latency = await onFreshDatabase((url) => measureLatency(url, report));
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
