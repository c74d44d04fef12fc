import { MessageIdGuard, type MessageIdGuardOptions } from '@waybill/guard';
import { systemClock } from '@waybill/kernel';
import { LogAppender } from '@waybill/log';
import { MESSAGE_ID_HEADER } from '@waybill/log/internal';
import { joinTransaction } from '@waybill/outbox';
import type pg from 'pg';
import type { Fixture } from './fixture.js';

export const DAY_MS = 86_400_000;

/** The message-id guard in transactions of pg or Prisma. */
export function messageIdGuardOf(options: MessageIdGuardOptions = {}): MessageIdGuard {
  return new MessageIdGuard({ join: (tx) => joinTransaction(tx, 'waybill', false).session }, options);
}

/** A UUIDv7 of the given time. */
export function idOf(ms: number): string {
  const time = Math.floor(ms).toString(16).padStart(12, '0');
  const tail = Math.floor(Math.random() * 2 ** 48)
    .toString(16)
    .padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7abc-8def-${tail}`;
}

/** The work of a message: an effect, and a result that names the process. */
export async function effect(
  tx: pg.PoolClient,
  messageId: string,
  n = 0,
): Promise<{ readonly by: number; readonly n: number }> {
  const { rows } = await tx.query<{ id: string }>(
    'insert into effect (message_id, n) values ($1, $2) returning id',
    [messageId, n],
  );
  return { by: Number(rows[0]?.id), n };
}

/** Effects by message, as `id: how many`. */
export async function effects(fixture: Fixture): Promise<Record<string, number>> {
  const { rows } = await fixture.database.pool.query<{ id: string; count: number }>(
    'select message_id as id, count(*)::int from effect group by 1 order by 1',
  );
  return Object.fromEntries(rows.map(({ id, count }) => [id, count]));
}

/** As if the guard's rows had been written that much earlier: each row in the slot of that time. */
export async function ageKept(fixture: Fixture, byMs: number): Promise<void> {
  await fixture.database.pool.query(
    `with old as (delete from waybill.idempotent_message returning *)
     insert into waybill.idempotent_message
     select (waybill.message_slot_number(o.received_at - b.age) % 16)::smallint, o.received_at - b.age,
            o.keep_until - b.age, o.consumer, o.message_id, o.result
       from old o, (values ($1 * interval '1 ms')) b (age)`,
    [byMs],
  );
}

/** Appends a record as a foreign producer does: with its own id, or none, `agoMs` ago by its time stamp. */
export async function appendForeign(
  { engine }: Fixture,
  id: string | null,
  payload: unknown,
  agoMs = 0,
): Promise<void> {
  const clock = { ...systemClock, now: () => Date.now() - agoMs };
  const appender = new LogAppender(engine, {}, clock);
  const headers = id === null ? [] : [{ key: MESSAGE_ID_HEADER, value: Buffer.from(id) }];
  await appender.append({
    topic: 'orders',
    key: Buffer.from(id ?? 'none'),
    value: Buffer.from(JSON.stringify(payload)),
    headers,
  });
  await appender.close();
}
