/** The value below which a share of the sample is. `share` from 0 to 1. */
export function quantile(sample: readonly number[], share: number): number {
  const sorted = sample.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The middle of the sample. */
export function median(sample: readonly number[]): number {
  return quantile(sample, 0.5);
}

/** Rounds to a number of decimal digits. */
export function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
