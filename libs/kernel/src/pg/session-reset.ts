import { bindStatement, type BoundStatement } from '../sql/bound-statement.js';
import { statement } from '../sql/statement.js';

const plain = (name: string, text: string): BoundStatement =>
  bindStatement(statement<[], Record<never, never>>(name, text));

/** Restores the session's initial role: Waybill's own statements follow, and run with the service's rights. */
export const RESET_ROLE = plain('reset-role', 'reset role');

/** Sent to every new session of Waybill. */
export const SESSION_DEFAULTS = `set default_transaction_isolation to 'read committed'`;

/**
 * Undoes what code that borrowed a session may have left in it: settings, roles, advisory locks, cursors, channels and
 * temporary tables. DISCARD ALL would too, but it cannot run in a batch and drops the prepared statements that the
 * driver relies on.
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
