/** For each step, by index, the steps that directly follow it. */
export function nextSteps(steps: readonly { readonly after: readonly number[] }[]): number[][] {
  const next = steps.map((): number[] => []);
  for (const [index, { after }] of steps.entries())
    for (const before of new Set(after)) next[before]?.push(index);
  return next;
}
