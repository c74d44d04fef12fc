import { show } from '../options.js';

/** Which server of several is wanted, as libpq's `target_session_attrs`. */
export type TargetSessionAttrs =
  'any' | 'read-write' | 'read-only' | 'primary' | 'standby' | 'prefer-standby';

/** What one attempt asks of a server: `prefer-standby` is two rounds, for a standby and then for any server. */
export type Demand = Exclude<TargetSessionAttrs, 'prefer-standby'>;

/** What a server says of itself. */
export interface ServerRole {
  readonly recovering: boolean;
  readonly readonly: boolean;
}

const ROUNDS: ReadonlyMap<unknown, readonly Demand[]> = new Map<TargetSessionAttrs, readonly Demand[]>([
  ['any', ['any']],
  ['read-write', ['read-write']],
  ['read-only', ['read-only']],
  ['primary', ['primary']],
  ['standby', ['standby']],
  ['prefer-standby', ['standby', 'any']],
]);

/** The rounds of attempts that a value stands for, each over all servers. */
export function roundsOf(attrs: TargetSessionAttrs): readonly Demand[] {
  return ROUNDS.get(attrs) ?? ['any'];
}

/** What is wrong with a value; undefined when nothing is. */
export function targetProblem(name: string, value: unknown): string | undefined {
  if (ROUNDS.has(value)) return undefined;
  return `${name} must be one of ${[...ROUNDS.keys()].join(', ')}, got ${show(value)}`;
}

/** A statement without parameters, so that it can share a round trip with others. */
export const ASK_ROLE =
  `select pg_catalog.pg_is_in_recovery() as recovering, ` +
  `pg_catalog.current_setting('transaction_read_only') = 'on' as readonly`;

/** Why a server is not the one that is wanted; undefined when it is. */
export function mismatch(demand: Demand, { recovering, readonly }: ServerRole): string | undefined {
  switch (demand) {
    case 'any':
      return undefined;
    case 'read-write':
      return recovering ? 'it is a standby' : readonly ? 'its sessions are read-only' : undefined;
    case 'read-only':
      return recovering || readonly ? undefined : 'its sessions are read-write';
    case 'primary':
      return recovering ? 'it is a standby' : undefined;
    case 'standby':
      return recovering ? undefined : 'it is not a standby';
  }
}
