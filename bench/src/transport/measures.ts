import { performance } from 'node:perf_hooks';
import { quantile } from '../statistics.js';

/** Concurrent requests, and concurrently published events. */
const IN_FLIGHT = 32;

/** Sends one request. */
export type Ask = (n: number) => Promise<unknown>;

/** Runs `work` for each number below `count`, with limited concurrency. */
export async function many(
  count: number,
  work: (n: number) => Promise<unknown>,
  atOnce = IN_FLIGHT,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
}

/** Requests completed per second, 32 in flight at a time. */
export async function requestsPerSecond(ask: Ask, count: number): Promise<number> {
  const began = performance.now();
  await many(count, ask);
  return (count / (performance.now() - began)) * 1_000;
}

/** How long a lone request takes, in milliseconds. */
export async function requestLatency(ask: Ask, count: number): Promise<{ p50Ms: number; p99Ms: number }> {
  const took: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const began = performance.now();
    await ask(n);
    took.push(performance.now() - began);
  }
  return { p50Ms: quantile(took, 0.5), p99Ms: quantile(took, 0.99) };
}

/** Events per second, from the first published to the last handled. */
export async function eventsPerSecond(
  publish: (n: number) => Promise<unknown>,
  heard: () => number,
  count: number,
): Promise<number> {
  const before = heard();
  const began = performance.now();
  await many(count, publish);
  while (heard() - before < count) await new Promise((resolve) => setTimeout(resolve, 1));
  return (count / (performance.now() - began)) * 1_000;
}
