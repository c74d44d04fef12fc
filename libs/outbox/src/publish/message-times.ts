import { types } from 'node:util';
import { show } from '@waybill/kernel/internal';
import { DELAY_LEVELS_MS, type DelayLevel } from '@waybill/timer';
import { LONGEST_DELAY_MS } from '@waybill/timer/internal';
import type { MessageTimes } from '../message.js';
import { isStorable } from '../is-storable.js';

/** Times that the database computes when the message is written. */
export interface TimesToResolve {
  readonly deliverAt: string | null;
  readonly delayMs: number | null;
  readonly expiresAtMs: number | null;
  readonly ttlMs: number | null;
  readonly timerToken: string | null;
}

/** The checked times of a message. */
export interface CheckedTimes {
  /** Null when the message is delivered immediately and the database has nothing to compute. */
  readonly times: TimesToResolve | null;
  /** When it expires, in milliseconds since the epoch, if known without the database. */
  readonly expiresAtMs: number | null;
}

const MAX_TOKEN_CHARS = 256;
const PLAIN: CheckedTimes = { times: null, expiresAtMs: null };

/** Checks the times of a message; `refuse` is called with the problem. */
export function checkTimes(given: MessageTimes, refuse: (problem: string) => never): CheckedTimes {
  const { deliverAt, delayMs, delayLevel, timerToken, expiresAt, ttlMs } = given;
  const isDelayed = deliverAt !== undefined || delayMs !== undefined || delayLevel !== undefined;
  if (!isDelayed && timerToken === undefined && expiresAt === undefined && ttlMs === undefined) {
    return PLAIN;
  }
  const delay = checkDelay({ deliverAt, delayMs, delayLevel }, refuse);
  if (timerToken !== undefined) {
    checkToken(timerToken, refuse);
    if (!isDelayed) refuse('it has a timerToken but no deliverAt, delayMs or delayLevel');
  }
  if (expiresAt !== undefined && ttlMs !== undefined) refuse('it has both expiresAt and ttlMs');
  if (expiresAt !== undefined) {
    checkDate('expiresAt', expiresAt, refuse);
    if (deliverAt !== undefined && expiresAt.getTime() <= deliverAt.getTime()) {
      refuse('its expiresAt must be after its deliverAt');
    }
  }
  if (ttlMs !== undefined) checkMs('ttlMs', ttlMs, 1, refuse);
  const expiresAtMs = expiresAt?.getTime() ?? null;
  if (!isDelayed && ttlMs === undefined) return { times: null, expiresAtMs };
  const times = { ...delay, expiresAtMs, ttlMs: ttlMs ?? null, timerToken: timerToken ?? null };
  return { times, expiresAtMs: null };
}

/** The time or the delay of a timer, from which the database computes the due time. */
export function checkDelay(
  given: {
    readonly deliverAt?: Date | undefined;
    readonly delayMs?: number | undefined;
    readonly delayLevel?: DelayLevel | undefined;
  },
  refuse: (problem: string) => never,
): { deliverAt: string | null; delayMs: number | null } {
  const { deliverAt, delayMs, delayLevel } = given;
  if ([deliverAt, delayMs, delayLevel].filter((value) => value !== undefined).length > 1) {
    refuse('it may have one of deliverAt, delayMs and delayLevel');
  }
  if (deliverAt !== undefined) checkDate('deliverAt', deliverAt, refuse);
  if (delayMs !== undefined) checkMs('delayMs', delayMs, 0, refuse);
  if (
    delayLevel !== undefined &&
    !(typeof delayLevel === 'string' && Object.hasOwn(DELAY_LEVELS_MS, delayLevel))
  ) {
    refuse(
      `its delayLevel must be one of ${Object.keys(DELAY_LEVELS_MS).join(', ')}, got ${show(delayLevel)}`,
    );
  }
  const level = delayLevel === undefined ? null : DELAY_LEVELS_MS[delayLevel];
  return { deliverAt: deliverAt?.toISOString() ?? null, delayMs: delayMs ?? level };
}

/** A token is a string of 1 to 256 characters that PostgreSQL can store. */
export function checkToken(token: string, refuse: (problem: string) => never): void {
  if (typeof token !== 'string' || token.length === 0 || token.length > MAX_TOKEN_CHARS) {
    refuse(`its timerToken must be a string of 1 to ${MAX_TOKEN_CHARS} characters`);
  }
  if (!isStorable(token)) refuse('its timerToken contains characters that cannot be stored');
}

function checkDate(name: string, value: Date, refuse: (problem: string) => never): void {
  if (!types.isDate(value) || Number.isNaN(value.getTime())) {
    refuse(`its ${name} must be a valid Date, got ${show(value)}`);
  }
  if (value.getTime() < 0 || value.getTime() > Date.now() + LONGEST_DELAY_MS) {
    refuse(`its ${name} must be between 1970 and 100 years from now, got ${value.toISOString()}`);
  }
}

function checkMs(name: string, value: number, min: number, refuse: (problem: string) => never): void {
  if (!Number.isSafeInteger(value) || value < min || value > LONGEST_DELAY_MS) {
    refuse(
      `its ${name} must be a whole number from ${min} to ${LONGEST_DELAY_MS} (100 years), got ${show(value)}`,
    );
  }
}
