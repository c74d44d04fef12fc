import type { Evidence, Passes, Violation } from './evidence.js';

/** Passes that may be intended before the first of them is answered. */
const UNDER_WAY_MAX = 4;

/**
 * The log holds the passes of an outbox from 1 on without a gap, each once and under a token that the service gave it. The
 * service is at most a few passes ahead, and never took an unanswered pass for answered.
 */
export function checkPasses({ passes }: Evidence): Violation[] {
  return passes.flatMap(checkPassesOf);
}

function checkPassesOf({ logged, intended, inOneTransaction }: Passes): Violation[] {
  const violations: Violation[] = [];
  const found = (rule: string, what: string): void => void violations.push({ rule, what });
  const tokens = new Map<number, Set<string>>();
  for (const { n, token } of intended) tokens.set(n, (tokens.get(n) ?? new Set()).add(token));
  let due = 1;
  for (const { n, token } of logged) {
    if (n > due) found('passes have no gap', `the log took pass ${n} where ${due} was due`);
    if (n < due) found('a pass is in the log once', `the log took two passes ${n}`);
    if (tokens.get(n)?.has(token) !== true)
      found(
        'a pass is what its service intended',
        `the log holds pass ${n} under ${token}, which its service never gave`,
      );
    due = n + 1;
  }
  const newest = due - 1;
  const ahead = Math.max(0, ...intended.map(({ n }) => n)) - newest;
  if (ahead > UNDER_WAY_MAX)
    found(
      'few passes are under way',
      `the service is ${ahead} passes ahead of the log, which holds ${newest}`,
    );
  for (const { n, confirmed } of intended)
    if (confirmed > newest || confirmed > (inOneTransaction ? n : Math.max(0, n - 1)))
      found(
        'an unanswered pass is not taken for answered',
        `pass ${n} says that ${confirmed} was answered, and the log holds ${newest}`,
      );
  return violations;
}
