import { bindStatement, type BoundStatement } from '../sql/bound-statement.js';
import { statement } from '../sql/statement.js';

const plain = (name: string, text: string): BoundStatement =>
  bindStatement(statement<[], Record<never, never>>(name, text));

/** Sets the role back that the session began with: what follows is Waybill's own, and runs with the service's rights. */
export const RESET_ROLE = plain('reset-role', 'reset role');

/** What every session of Waybill's is told when it begins. */
export const SESSION_DEFAULTS = `set default_transaction_isolation to 'read committed'`;

/**
 * Takes back what code that borrowed a session may have left in it: settings, roles, advisory locks, cursors, channels and
 * temporary tables. DISCARD ALL would do so too, but runs in no batch and forgets the prepared statements, which the driver
 * counts on.
 */
export const RESET_SESSION: readonly BoundStatement[] = [
  plain('reset-authorization', 'set session authorization default'),
  RESET_ROLE,
  plain('reset-settings', 'reset all'),
  plain('session-defaults', SESSION_DEFAULTS),
  plain('reset-locks', 'select pg_catalog.pg_advisory_unlock_all()'),
  plain('reset-cursors', 'close all'),
  plain('reset-channels', 'unlisten *'),
  plain('reset-tables', 'discard temp'),
];
