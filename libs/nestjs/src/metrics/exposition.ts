/** Types of metrics that Waybill has. */
export type MetricType = 'counter' | 'gauge' | 'histogram';

/** One series of a metric, and its value. */
export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Suffix of the metric's name: `_bucket`, `_sum` or `_count` of a histogram. Default: none. */
  readonly suffix?: '_bucket' | '_sum' | '_count';
}

/** A metric with all its series. One without series is shown too, so that a scrape lists every metric. */
export interface Metric {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly samples: readonly MetricSample[];
}

/** Media type of {@link expositionText}. */
export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** A gauge or counter with at most one series; without a value it has none. */
export function single(
  name: string,
  type: MetricType,
  help: string,
  value: number | boolean | null | undefined,
): Metric {
  const samples = value === null || value === undefined ? [] : [{ labels: {}, value: Number(value) }];
  return { name, type, help, samples };
}

/**
 * Writes metrics in Prometheus' text format 0.0.4. Metrics of one name are merged, because the format needs all series
 * of a name together.
 */
export function expositionText(metrics: readonly Metric[]): string {
  const byName = new Map<string, Metric[]>();
  for (const metric of metrics) byName.set(metric.name, [...(byName.get(metric.name) ?? []), metric]);
  let text = '';
  for (const [name, [first, ...others]] of byName) {
    if (first === undefined) continue;
    text += `# HELP ${name} ${escaped(first.help)}\n# TYPE ${name} ${first.type}\n`;
    for (const { samples } of [first, ...others])
      for (const sample of samples)
        text += `${name}${sample.suffix ?? ''}${labelList(sample)} ${figure(sample)}\n`;
  }
  return text;
}

function labelList({ labels }: MetricSample): string {
  const pairs = Object.entries(labels).map(
    ([label, value]) => `${label}="${escaped(value).replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function figure({ value }: MetricSample): string {
  if (Number.isFinite(value) || Number.isNaN(value)) return String(value);
  return value > 0 ? '+Inf' : '-Inf';
}
