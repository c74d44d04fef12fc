// Made by scripts/build-sql.mjs from ../sql/signal; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Notifies other processes, in a separate transaction (never in a producer's or a flush's).
 */
export const notify = statement<[channel: string, payload: string], Record<never, never>>('notify', `select pg_catalog.pg_notify($1, $2)`);
