// Made by scripts/build-sql.mjs from ../sql/clock; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * The intervals of slotMs milliseconds, numbered by their ends, in which timers are due.
 * Locks: the loader's advisory lock, tried and not waited for
 * Index: timer_due
 */
export const readTimerWindow = statement<[fromMs: number, untilMs: number, slotMs: number], { busy: boolean; slots: readonly number[] | null }>('read-timer-window', `select w.busy, w.due_slots as slots from :schema.timer_window($1, $2, $3) w`);
