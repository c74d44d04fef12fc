import type { Bug } from './mutant.js';

/** What a run with a planted bug came to. */
export interface Run {
  /** What ran: the load, or a machine of the simulator. */
  readonly by: string;
  /** The rules that were broken. */
  readonly broken: readonly string[];
  /** Errors of the language that the planted code has thrown. */
  readonly thrown: readonly string[];
}

/** Whether a bug is caught, and what says so. */
export interface Judgement {
  readonly verdict: 'caught' | 'MISSED' | 'STALE';
  readonly why: string;
}

/** A bug is caught by the rules that it names. Planted code that throws by itself is another bug than the one that is meant. */
export function judge(bug: Bug, { by, broken, thrown }: Run): Judgement {
  if (thrown.length > 0)
    return { verdict: 'STALE', why: `the planted code throws ${thrown.join('; ')}: adapt its replacement` };
  if (broken.length === 0) return { verdict: 'MISSED', why: `${by} broke no rule` };
  const own = broken.filter((rule) => bug.rules.includes(rule));
  if (own.length === 0)
    return {
      verdict: 'MISSED',
      why: `${by} broke only rules that it is not meant to break: ${broken.join('; ')}`,
    };
  const others = broken.filter((rule) => !own.includes(rule));
  const besides = others.length === 0 ? '' : ` (besides: ${others.join('; ')})`;
  return { verdict: 'caught', why: `${by}: ${own.join('; ')}${besides}` };
}
