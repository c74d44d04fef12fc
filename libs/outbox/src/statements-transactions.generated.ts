// Made by scripts/build-sql.mjs from ../sql/transactions; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Limits how long the open transaction may be idle, or wait for a lock. Returns the current role and search path.
 */
export const limitIdleTime = statement<[milliseconds: string], { role: string; path: string }>('limit-idle-time', `select pg_catalog.current_setting('role') as role, pg_catalog.current_setting('search_path') as path,
       pg_catalog.set_config('idle_in_transaction_session_timeout', $1::text, true),
       pg_catalog.set_config('lock_timeout', $1::text, true)`);

/**
 * Restores role and search path in case a handler has changed them: Waybill's own statements follow.
 */
export const restoreSession = statement<[role: string, path: string], Record<never, never>>('restore-session', `select pg_catalog.set_config('role', $1::text, false), pg_catalog.set_config('search_path', $2::text, false)`);
