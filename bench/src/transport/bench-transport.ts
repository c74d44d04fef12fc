import 'reflect-metadata';
import { ensurePostgres, startRedis } from '@waybill/testing';
import type { Report } from '../main.js';
import { median, rounded } from '../statistics.js';
import { eventsPerSecond, requestLatency, requestsPerSecond } from './measures.js';
import { bullmqPeer, type Peer, redisPeer, tcpPeer, waybillPeer } from './peers.js';

const ROUNDS = 3;
const WARM_UP = 300;
const REQUESTS = 1_500;
const ALONE = 200;
const EVENTS = 3_000;

/** Results of `npm run bench -- transport`. All of it runs in one process, next to the servers. */
export interface TransportFigures {
  /** From `send` to the reply, one request at a time. */
  readonly rpcP50Ms: number;
  readonly rpcP99Ms: number;
  /** Requests completed per second, 32 in flight at a time: by Waybill, and by Nest's transport over Redis. */
  readonly rpcPerSecond: number;
  readonly redisRpcPerSecond: number;
  /** Events per second, each published and handled in separate transactions; and jobs of BullMQ. */
  readonly eventsPerSecond: number;
  readonly bullmqJobsPerSecond: number;
}

/** Rates of one peer, one per round. */
interface Rates {
  readonly requests: number[];
  readonly events: number[];
}

/** Runs the measurements: the transports take turns. */
export async function benchTransport(report: Report): Promise<TransportFigures> {
  const server = await ensurePostgres();
  const redis = await startRedis();
  const peers: Peer[] = [];
  try {
    const waybill = await waybillPeer(server);
    peers.push(waybill, await redisPeer(redis), await tcpPeer(), await bullmqPeer(redis));
    const rates = new Map<string, Rates>(peers.map(({ name }) => [name, { requests: [], events: [] }]));
    for (const peer of peers) await measure(peer, WARM_UP, WARM_UP);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const peer of [...peers.slice(round % peers.length), ...peers.slice(0, round % peers.length)]) {
        const { requests, events } = await measure(peer, REQUESTS, EVENTS);
        if (!Number.isNaN(requests)) rates.get(peer.name)?.requests.push(requests);
        rates.get(peer.name)?.events.push(events);
        report(`${peer.name}: ${Math.round(requests)} requests/s, ${Math.round(events)} events/s`);
      }
    }
    for (const peer of peers) await reportLatency(peer, report);
    const { p50Ms, p99Ms } = await requestLatency(waybill.ask ?? never, ALONE);
    const of = (name: string, kind: keyof Rates): number => Math.round(median(rates.get(name)?.[kind] ?? []));
    return {
      rpcP50Ms: rounded(p50Ms, 2),
      rpcP99Ms: rounded(p99Ms, 2),
      rpcPerSecond: of('Waybill', 'requests'),
      redisRpcPerSecond: of("Nest's Redis", 'requests'),
      eventsPerSecond: of('Waybill', 'events'),
      bullmqJobsPerSecond: of('BullMQ', 'events'),
    };
  } finally {
    for (const peer of peers) await peer.close();
    await redis.stop();
    await server.stop();
  }
}

async function measure(
  { ask, publish, heard }: Peer,
  requests: number,
  events: number,
): Promise<{ requests: number; events: number }> {
  return {
    requests: ask === undefined ? Number.NaN : await requestsPerSecond(ask, requests),
    events: publish === undefined ? Number.NaN : await eventsPerSecond(publish, heard, events),
  };
}

async function reportLatency({ name, ask }: Peer, report: Report): Promise<void> {
  if (ask === undefined) return;
  const { p50Ms, p99Ms } = await requestLatency(ask, ALONE);
  report(`${name}: a request alone takes ${p50Ms.toFixed(2)} ms (p50), ${p99Ms.toFixed(2)} ms (p99)`);
}

function never(): Promise<never> {
  return Promise.reject(new Error('Waybill replies to requests'));
}
