import type { Statement } from '@waybill/kernel';
import { insertControlMessage, insertMessage } from '../statements.generated.js';

/** The slots of the outbox's ring, and how long each is current; the same figures as in the migration. */
export const OUTBOX_SLOTS = 8;
const SLOT_MS = 600_000;

const inserts = Array.from({ length: OUTBOX_SLOTS }, (_, slot) => intoSlot(insertMessage, slot));
const controlling = Array.from({ length: OUTBOX_SLOTS }, (_, slot) => intoSlot(insertControlMessage, slot));

/**
 * The INSERT into the slot that is current by this process's clock. A wrong clock puts a row into another slot,
 * which does no harm: a slot is emptied by its content, not by its number.
 */
export function insertIntoCurrentSlot(nowMs: number): typeof insertMessage {
  return inserts[currentSlot(nowMs)] as typeof insertMessage;
}

/** Like {@link insertIntoCurrentSlot}, for a message with control headers. */
export function insertControlIntoCurrentSlot(nowMs: number): typeof insertControlMessage {
  return controlling[currentSlot(nowMs)] as typeof insertControlMessage;
}

function currentSlot(nowMs: number): number {
  return Math.floor(nowMs / SLOT_MS) % OUTBOX_SLOTS;
}

function intoSlot<P extends readonly unknown[], R>(insert: Statement<P, R>, slot: number): Statement<P, R> {
  return { name: `${insert.name}-${slot}`, text: insert.text.replaceAll(':slot', String(slot)) };
}
