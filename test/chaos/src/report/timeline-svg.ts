import type { Evidence } from '../checkers/evidence.js';
import { faultSpans } from '../checkers/progress.js';

const WIDTH = 1_000;
const HEIGHT = 260;
const LEFT = 60;
const BOTTOM = 40;
const STEP_MS = 500;

/** Throughput (committed and handled per second) and lag over time, with the faults as shaded spans. */
export function timelineSvg({ history, ledger, groups }: Evidence): string {
  const committed = history.filter((one) => one.f === 'publish' && one.type === 'ok');
  // Sorted by time, and too long to be spread into arguments.
  const from = history[0]?.atMs ?? 0;
  const to = Math.max(history.at(-1)?.atMs ?? 0, from + STEP_MS);
  const steps = Math.ceil((to - from) / STEP_MS);
  const x = (atMs: number): number => LEFT + ((atMs - from) / (to - from)) * (WIDTH - LEFT - 10);
  const published = perStep(
    committed.map((one) => ({ atMs: one.atMs, weight: one.f === 'publish' ? one.messages.length : 0 })),
    from,
    steps,
  );
  const handled = perStep(
    ledger.map(({ atMs }) => ({ atMs, weight: 1 / groups.length })),
    from,
    steps,
  );
  const lag = accumulated(published, handled);
  const top = [published, handled, lag].flat().reduce((most, value) => Math.max(most, value), 1);
  const y = (value: number): number => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - 20);
  const line = (values: readonly number[], colour: string): string =>
    `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${values.map((value, step) => `${x(from + step * STEP_MS).toFixed(1)},${y(value).toFixed(1)}`).join(' ')}"/>`;
  const spans = faultSpans(history).map(
    (span) =>
      `<rect x="${x(span.from).toFixed(1)}" y="20" width="${Math.max(1, x(span.to) - x(span.from)).toFixed(1)}" height="${HEIGHT - BOTTOM - 20}" fill="#c0392b" opacity="0.15"><title>${span.name}</title></rect>` +
      `<text x="${x(span.from).toFixed(1)}" y="14" font-size="8" fill="#c0392b">${span.name}</text>`,
  );
  const legend = [
    ['committed', '#2471a3'],
    ['handled', '#1e8449'],
    ['lag', '#b7950b'],
  ].map(
    ([name, colour], index) =>
      `<text x="${LEFT + index * 110}" y="${HEIGHT - 8}" font-size="11" fill="${colour}">${name}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    ...spans,
    line(published, '#2471a3'),
    line(handled, '#1e8449'),
    line(lag, '#b7950b'),
    `<text x="4" y="24" font-size="11">${Math.round(top)}</text>`,
    `<text x="4" y="${HEIGHT - BOTTOM}" font-size="11">0</text>`,
    `<text x="${WIDTH - 130}" y="${HEIGHT - 8}" font-size="11">messages per ${STEP_MS} ms; lag in all</text>`,
    ...legend,
    '</svg>',
    '',
  ].join('\n');
}

function perStep(
  events: readonly { readonly atMs: number; readonly weight: number }[],
  from: number,
  steps: number,
): number[] {
  const counts = Array.from({ length: steps }, () => 0);
  for (const { atMs, weight } of events) {
    const step = Math.floor((atMs - from) / STEP_MS);
    if (step >= 0 && step < steps) counts[step] = (counts[step] ?? 0) + weight;
  }
  return counts;
}

/** What was committed and not yet handled, after each step. */
function accumulated(published: readonly number[], handled: readonly number[]): number[] {
  let open = 0;
  return published.map((count, step) => {
    open = Math.max(0, open + count - (handled[step] ?? 0));
    return open;
  });
}
