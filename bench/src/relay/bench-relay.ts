import { ensurePostgres, type PostgresServer, startPostgres } from '@waybill/testing';
import type { Report } from '../main.js';
import { Drain } from '../outbox/drain.js';
import { measureLatency } from '../outbox/latency.js';
import { inPlace } from '../place.js';
import { median, rounded } from '../statistics.js';
import { cpuMsOf, walBytesOf } from './server-cost.js';

const MESSAGES = 200_000;
const ROUNDS = 7;
const LARGE_BACKLOG = 5_000_000;
const LARGE_PAIRS = 2;

/** Results of `npm run bench -- relay`. */
export interface RelayFigures {
  /** Messages per second from the outbox into the log of the same database. */
  readonly sameDatabase: number;
  /** Into the log of another database of the same server. */
  readonly acrossDatabases: number;
  /** Into the log of another server, on the same machine. */
  readonly acrossClusters: number;
  /** From the publisher's commit to the handler at 500 messages per second, in one database. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The same with the log on another server. */
  readonly p50AcrossMs: number;
  /** Drain rate of 5 million messages while a snapshot is held, relative to the rate without. */
  readonly heldSnapshotRatio: number;
  /** CPU time of PostgreSQL for 1,000 messages in one database; null where it cannot be read. */
  readonly serverCpuMsPerThousand: number | null;
  /** WAL for a message of 200 bytes in one database, without that of publishing it. */
  readonly walBytesPerMessage: number;
}

type Name = 'sameDatabase' | 'acrossDatabases' | 'acrossClusters';

/** Drains backlogs of 200,000 messages of 200 bytes, in turn in one database, in two, and on two servers. */
export async function benchRelay(report: Report): Promise<RelayFigures> {
  const server = await ensurePostgres();
  let other: PostgresServer | undefined;
  try {
    other = await startPostgres();
    const drained = await measureDrains(server, other, report);
    const held = await inPlace(server, undefined, async (place) => {
      const drain = await Drain.open(place);
      return measureHeld(drain, report).finally(() => drain.close());
    });
    const latency = await inPlace(server, undefined, (place) => measureLatency(place, report));
    const across = await inPlace(server, other, (place) => measureLatency(place, report));
    return {
      ...drained,
      p50Ms: rounded(latency.p50Ms, 2),
      p99Ms: rounded(latency.p99Ms, 2),
      p50AcrossMs: rounded(across.p50Ms, 2),
      heldSnapshotRatio: rounded(held, 3),
    };
  } finally {
    await other?.stop();
    await server.stop();
  }
}

async function measureDrains(
  server: PostgresServer,
  other: PostgresServer,
  report: Report,
): Promise<Omit<RelayFigures, 'p50Ms' | 'p99Ms' | 'p50AcrossMs' | 'heldSnapshotRatio'>> {
  return inPlace(server, undefined, (one) =>
    inPlace(server, server, (two) =>
      inPlace(server, other, async (apart) => {
        const drains: Record<Name, Drain> = {
          sameDatabase: await Drain.open(one),
          acrossDatabases: await Drain.open(two),
          acrossClusters: await Drain.open(apart),
        };
        try {
          return await takeTurns(drains, server, report);
        } finally {
          for (const drain of Object.values(drains)) await drain.close();
        }
      }),
    ),
  );
}

/** Rounds in which each place has its turn, in a changing order, so that a slow moment of the machine affects all. */
async function takeTurns(drains: Readonly<Record<Name, Drain>>, server: PostgresServer, report: Report) {
  const names = Object.keys(drains) as Name[];
  const rates: Record<Name, number[]> = { sameDatabase: [], acrossDatabases: [], acrossClusters: [] };
  const cpu: number[] = [];
  const wal: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [turn] of names.entries()) {
      const name = names[(round + turn) % names.length] as Name;
      const drain = drains[name];
      await drain.fill(MESSAGES);
      const before = { cpu: cpuMsOf([server.pid]), wal: await walBytesOf(drain.connected.database) };
      const rate = await drain.run(MESSAGES);
      // The first round warms up.
      if (round === 0) continue;
      rates[name].push(rate);
      if (name !== 'sameDatabase') continue;
      cpu.push((cpuMsOf([server.pid]) - before.cpu) / (MESSAGES / 1_000));
      wal.push(((await walBytesOf(drain.connected.database)) - before.wal) / MESSAGES);
    }
    if (round > 0)
      report(
        `drain, messages/s: ${names.map((name) => `${name} ${Math.round(rates[name].at(-1) ?? 0)}`).join(', ')}`,
      );
  }
  const ratios = rates.acrossClusters.map((rate, index) => rate / (rates.sameDatabase[index] ?? rate));
  report(`across clusters, relative to one database: ${median(ratios).toFixed(2)}`);
  const cpuMs = median(cpu);
  return {
    sameDatabase: Math.round(median(rates.sameDatabase)),
    acrossDatabases: Math.round(median(rates.acrossDatabases)),
    acrossClusters: Math.round(median(rates.acrossClusters)),
    serverCpuMsPerThousand: Number.isNaN(cpuMs) ? null : rounded(cpuMs, 2),
    walBytesPerMessage: Math.round(median(wal)),
  };
}

/** Rounds with and without a held snapshot in turn, each first once. */
async function measureHeld(drain: Drain, report: Report): Promise<number> {
  const ratios: number[] = [];
  for (let pair = 0; pair < LARGE_PAIRS; pair += 1) {
    const rates = { alone: 0, held: 0 };
    for (const how of pair % 2 === 0 ? (['alone', 'held'] as const) : (['held', 'alone'] as const)) {
      if (how === 'held') rates.held = await drain.runHeld(LARGE_BACKLOG);
      else {
        await drain.fill(LARGE_BACKLOG);
        rates.alone = await drain.run(LARGE_BACKLOG);
      }
    }
    ratios.push(rates.held / rates.alone);
    report(
      `drain of ${LARGE_BACKLOG}: ${Math.round(rates.alone)} messages/s, ${Math.round(rates.held)} while a snapshot is held`,
    );
  }
  return median(ratios);
}
