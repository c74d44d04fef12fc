import { ConfigurationError } from '@waybill/kernel';
import { moment, unknownName } from '@waybill/kernel/internal';

/** The state of a dead letter: undecided, being redriven to its handler, or how it ended. */
export type DeadLetterState = 'open' | 'redriving' | 'redriven' | 'replaced' | 'discarded';

/** Selects dead letters: those that match all given fields. */
export interface DeadLetterFilter {
  readonly ids?: readonly number[];
  readonly group?: string;
  readonly topic?: string;
  readonly handler?: string;
  readonly key?: string;
  readonly reason?: string;
  /** The class of the last error. */
  readonly errorClass?: string;
  /** The kind of failure: class and place of the last error. */
  readonly fingerprint?: string;
  readonly messageId?: string;
  readonly states?: readonly DeadLetterState[];
  /** Those whose last failure was at this time or later. */
  readonly from?: Date;
  /** Those whose last failure was before this time. */
  readonly to?: Date;
  /** Values in a JSON payload: the value at the path, as text, equals this. */
  readonly payload?: readonly { readonly path: readonly string[]; readonly value: string }[];
}

const TEXTS = [
  'group',
  'topic',
  'handler',
  'key',
  'reason',
  'errorClass',
  'fingerprint',
  'messageId',
] as const;
const NAMES = [...TEXTS, 'ids', 'states', 'from', 'to', 'payload'];
const STATES: readonly string[] = ['open', 'redriving', 'redriven', 'replaced', 'discarded'];

/**
 * Checks a filter and encodes it for the statements: one that names an unknown field, or nothing by mistake, must never
 * match everything.
 * @throws ConfigurationError listing every problem
 */
export function filterJson(filter: DeadLetterFilter, states?: readonly DeadLetterState[]): string {
  const problems: string[] = [];
  const given = Object.entries(filter).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    if (!NAMES.includes(name)) problems.push(unknownName(name, NAMES));
    if ((TEXTS as readonly string[]).includes(name) && typeof value !== 'string')
      problems.push(`${name} must be a string, got ${typeof value}`);
  }
  problems.push(...problemsOfLists(filter));
  for (const name of ['from', 'to'] as const) {
    const time = filter[name];
    const problem = time === undefined ? undefined : moment().check(time);
    if (problem !== undefined) problems.push(`${name} ${problem}`);
  }
  if (problems.length > 0) throw new ConfigurationError('The filter of dead letters is not usable', problems);
  return JSON.stringify({ ...Object.fromEntries(given), ...(states === undefined ? {} : { states }) });
}

/** Whether a filter has any field: one without selects all dead letters. */
export function isEmptyFilter(filter: DeadLetterFilter): boolean {
  return Object.values(filter).every((value) => value === undefined);
}

function problemsOfLists({ ids, states, payload }: DeadLetterFilter): string[] {
  const problems: string[] = [];
  if (ids !== undefined && !(Array.isArray(ids) && ids.every((id) => Number.isSafeInteger(id))))
    problems.push('ids must be an array of whole numbers');
  if (states !== undefined && !(Array.isArray(states) && states.every((state) => STATES.includes(state))))
    problems.push(`states must be an array of ${STATES.join(', ')}`);
  for (const condition of payload ?? []) {
    const { path, value } = condition;
    if (!Array.isArray(path) || path.length === 0 || !path.every((name) => typeof name === 'string'))
      problems.push('a path into the payload must be an array of names');
    if (typeof value !== 'string') problems.push('a value in the payload is compared as text');
  }
  return problems;
}
