import { ensurePostgres, type PostgresServer } from '@waybill/testing';
import pg from 'pg';
import type { BenchOptions, Report } from '../main.js';
import { measureProducers } from '../outbox/producers.js';
import { inPlace } from '../place.js';
import { median, quantile, rounded } from '../statistics.js';
import { type PeerName, PEERS } from './client.js';
import { inProcesses } from './client-process.js';
import { cpuOf, inDatabase, measureLive, type Round } from './live.js';
import { profileDelivery } from './profile.js';

/** Messages of a backlog. */
const BACKLOG: Readonly<Record<PeerName, number>> = {
  waybill: 100_000,
  batch: 100_000,
  table: 100_000,
  graphile: 20_000,
  pgboss: 50_000,
};
const PER_SECOND = 500;
const SECONDS = 8;

/** Results of `npm run bench -- delivery`; medians over the rounds. */
export interface DeliveryFigures {
  /** From a transaction with one message to the handler's insert: messages per second, and CPU time of all processes. */
  readonly e2ePerSecond: number;
  readonly e2eCpuMsPerThousand: number;
  /** The same with a batch handler. */
  readonly e2eBatchPerSecond: number;
  readonly e2eBatchCpuMsPerThousand: number;
  readonly tablePerSecond: number;
  readonly tableCpuMsPerThousand: number;
  readonly graphilePerSecond: number;
  readonly pgbossPerSecond: number;
  /** A backlog of messages whose handler does nothing, by one consumer. */
  readonly drainPerSecond: number;
  readonly drainCpuMsPerThousand: number;
  /** The same with a batch handler. */
  readonly drainBatchPerSecond: number;
  readonly drainBatchCpuMsPerThousand: number;
  /** From the producer's COMMIT to the handler at 500 messages a second: in two processes, and in one. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p50SameProcessMs: number;
  readonly p99SameProcessMs: number;
  /** Rate of a backlog while another session holds a snapshot, relative to that without. */
  readonly heldSnapshotRatio: number;
  /** Rate of an order's transaction with a message, relative to that without; as `bench -- outbox` measures it. */
  readonly producerRatio: number;
  /** Highest resident memory of the consumer in a backlog, in MiB. */
  readonly rssMb: number;
}

/** Two client processes and the server; the systems take turns, each round in a fresh database. */
export async function benchDelivery(
  report: Report,
  { rounds = 5, peers, profile }: BenchOptions,
): Promise<DeliveryFigures> {
  const names = (Object.keys(PEERS) as PeerName[]).filter((name) => peers?.includes(name) !== false);
  if (profile !== undefined) await profileDelivery(profile, names, report);
  const server = await ensurePostgres();
  const live = new Map<PeerName, Round[]>(names.map((name) => [name, []]));
  const drained = new Map<PeerName, Round[]>(names.map((name) => [name, []]));
  const held: number[] = [];
  let producerRatio = Number.NaN;
  const apart: { p50: number; p99: number }[] = [];
  const together: { p50: number; p99: number }[] = [];
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const [turn] of names.entries()) {
        const name = names[(round + turn) % names.length] as PeerName;
        const one = await measureLive(server, name);
        live.get(name)?.push(one);
        const backlog = await measureBacklog(server, name, false);
        drained.get(name)?.push(backlog);
        report(
          `${name}: ${line(one)} from transaction to effect; ${line(backlog)} of a backlog, ${Math.round(backlog.rssMb)} MiB`,
        );
      }
      const free = drained.get('waybill')?.at(-1)?.perSecond ?? Number.NaN;
      held.push((await measureBacklog(server, 'waybill', true)).perSecond / free);
      apart.push(await measureLatency(server, false));
      together.push(await measureLatency(server, true));
      report(
        `with a snapshot held ${held.at(-1)?.toFixed(2)}; in two processes p50 ${apart.at(-1)?.p50.toFixed(1)} ms, ` +
          `p99 ${apart.at(-1)?.p99.toFixed(1)} ms; in one ${together.at(-1)?.p50.toFixed(1)}, ${together.at(-1)?.p99.toFixed(1)} ms`,
      );
    }
    producerRatio = await inPlace(server, undefined, ({ service }) => measureProducers(service, report));
  } finally {
    await server.stop();
  }
  const of = (rounds: Map<PeerName, Round[]>, name: PeerName, what: keyof Round): number =>
    rounded(median((rounds.get(name) ?? []).map((round) => round[what])), what === 'perSecond' ? 0 : 1);
  return {
    e2ePerSecond: of(live, 'waybill', 'perSecond'),
    e2eCpuMsPerThousand: of(live, 'waybill', 'cpu'),
    e2eBatchPerSecond: of(live, 'batch', 'perSecond'),
    e2eBatchCpuMsPerThousand: of(live, 'batch', 'cpu'),
    tablePerSecond: of(live, 'table', 'perSecond'),
    tableCpuMsPerThousand: of(live, 'table', 'cpu'),
    graphilePerSecond: of(live, 'graphile', 'perSecond'),
    pgbossPerSecond: of(live, 'pgboss', 'perSecond'),
    drainPerSecond: of(drained, 'waybill', 'perSecond'),
    drainCpuMsPerThousand: of(drained, 'waybill', 'cpu'),
    drainBatchPerSecond: of(drained, 'batch', 'perSecond'),
    drainBatchCpuMsPerThousand: of(drained, 'batch', 'cpu'),
    p50Ms: rounded(median(apart.map(({ p50 }) => p50)), 2),
    p99Ms: rounded(median(apart.map(({ p99 }) => p99)), 2),
    p50SameProcessMs: rounded(median(together.map(({ p50 }) => p50)), 2),
    p99SameProcessMs: rounded(median(together.map(({ p99 }) => p99)), 2),
    heldSnapshotRatio: rounded(median(held), 3),
    producerRatio: rounded(producerRatio, 3),
    rssMb: of(drained, 'waybill', 'rssMb'),
  };
}

function line({ perSecond, cpu }: Round): string {
  return `${Math.round(perSecond)}/s at ${cpu.toFixed(0)} ms of CPU for 1,000`;
}

/** A backlog whose handler does nothing; perhaps while another session holds a snapshot that is older than it. */
function measureBacklog(server: PostgresServer, peer: PeerName, isHeld: boolean): Promise<Round> {
  const messages = BACKLOG[peer];
  return inDatabase(server, peer, async (url) => {
    const holder = new pg.Client({ connectionString: url });
    await holder.connect();
    try {
      if (isHeld) await holder.query('begin isolation level repeatable read; select count(*) from effect');
      await PEERS[peer].fill(url, messages);
      return await inProcesses(async (_, consumer) => {
        const cpuBefore = cpuOf(server, [consumer.pid]);
        const startedAt = performance.now();
        await consumer.tell({ kind: 'open', role: 'consumer', peer, url, work: 'nothing' });
        const { rssMb } = await consumer.tell({ kind: 'expect', messages });
        const seconds = (performance.now() - startedAt) / 1_000;
        const cpu = (cpuOf(server, [consumer.pid]) - cpuBefore) / (messages / 1_000);
        return { perSecond: messages / seconds, cpu, rssMb };
      });
    } finally {
      await holder.end();
    }
  });
}

function measureLatency(
  server: PostgresServer,
  isOneProcess: boolean,
): Promise<{ p50: number; p99: number }> {
  const peer = 'waybill';
  return inDatabase(server, peer, (url) =>
    inProcesses(async (producer, second) => {
      const consumer = isOneProcess ? producer : second;
      await consumer.tell({ kind: 'open', role: 'consumer', peer, url, work: 'insert' });
      await producer.tell({ kind: 'open', role: 'producer', peer, url, work: 'insert' });
      const messages = PER_SECOND * SECONDS;
      const committed = await producer.tell({
        kind: 'produce',
        messages,
        perSecond: PER_SECOND,
      });
      const handled = await consumer.tell({ kind: 'expect', messages });
      const waits = committed.times
        .map((at, n) => Math.max(0, (handled.times[n] ?? Number.NaN) - at))
        .slice(PER_SECOND * 2);
      return { p50: quantile(waits, 0.5), p99: quantile(waits, 0.99) };
    }),
  );
}
