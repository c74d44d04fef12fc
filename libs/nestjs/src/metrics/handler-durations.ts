import type { Metric, MetricSample } from './exposition.js';

/** Upper bounds of the buckets, in seconds; the last bucket has none. */
const BOUNDS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;

/** `error` when the handler threw. */
type Outcome = 'ok' | 'error';

interface Series {
  readonly labels: Readonly<Record<'topic' | 'outcome', string>>;
  /** By bucket; the unbounded one is last. */
  readonly counts: number[];
  sum: number;
}

/** Measures how long handlers of this process take, by topic and outcome. */
export class HandlerDurations {
  readonly #series = new Map<string, Series>();

  /** Runs an attempt and measures its time, from the first guard to the end of the handler's stream. */
  async measure<T>(topic: string, work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    let outcome: Outcome = 'error';
    try {
      const result = await work();
      outcome = 'ok';
      return result;
    } finally {
      this.add(topic, outcome, (performance.now() - startedAt) / 1_000);
    }
  }

  add(topic: string, outcome: Outcome, seconds: number): void {
    const id = `${outcome} ${topic}`;
    const series = this.#series.get(id) ?? {
      labels: { topic, outcome },
      counts: Array.from({ length: BOUNDS_SECONDS.length + 1 }, () => 0),
      sum: 0,
    };
    this.#series.set(id, series);
    const index = BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
    const bucket = index === -1 ? BOUNDS_SECONDS.length : index;
    series.counts[bucket] = (series.counts[bucket] as number) + 1;
    series.sum += seconds;
  }

  get metric(): Metric {
    return {
      name: 'waybill_handler_seconds',
      type: 'histogram',
      help: 'Duration of handler attempts in this process.',
      samples: [...this.#series.values()].flatMap(samplesOf),
    };
  }
}

function samplesOf({ labels, counts, sum }: Series): MetricSample[] {
  let count = 0;
  const buckets = counts.map((ofBucket, index): MetricSample => {
    count += ofBucket;
    return {
      suffix: '_bucket',
      labels: { ...labels, le: String(BOUNDS_SECONDS[index] ?? '+Inf') },
      value: count,
    };
  });
  return [...buckets, { suffix: '_sum', labels, value: sum }, { suffix: '_count', labels, value: count }];
}
