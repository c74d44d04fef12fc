import { invariant, type SqlSession } from '@waybill/kernel';
import { dictionary, own } from '@waybill/kernel/internal';
import { type MessageToCollect, type Sealer } from '@waybill/log';
import { headersTogether, openMessage } from '@waybill/log/internal';
import { type Codec, type EncodedMessage, jsonCodec } from '@waybill/outbox';
import type { TimerCommand } from '@waybill/timer';
import type { MessageToCheck } from './half-message.js';

/** A message as stored in the row of its half; its payload is stored separately. */
type StoredMessage = Omit<EncodedMessage, 'payload' | 'keepSubject'>;

/** The messages of a half as stored in its row. */
export interface HalfContent {
  /** {@link StoredMessage}s as JSON. */
  readonly messages: string;
  readonly payloads: readonly Buffer[];
}

/** What committing a half delivers, in addition to marking it. */
export interface HalfDelivery {
  readonly records: readonly MessageToCollect[];
  readonly timers: readonly TimerCommand[];
}

export function storeContent(encoded: readonly EncodedMessage[]): HalfContent {
  const messages = encoded.map((message): StoredMessage => {
    const { payload: _, keepSubject: __, ...stored } = message;
    return stored;
  });
  return { messages: JSON.stringify(messages), payloads: encoded.map(({ payload }) => payload) };
}

export function restoreContent({ messages, payloads }: HalfContent): EncodedMessage[] {
  const stored = JSON.parse(messages) as readonly StoredMessage[];
  return stored.map((message, index) => {
    const payload = payloads[index];
    invariant(payload !== undefined, `message ${message.id} of a half message has lost its payload`);
    return { ...message, payload, keepSubject: null };
  });
}

/** Ids, topics and keys of the messages in a row, which may be decided and no longer have payloads. */
export function describeContent(
  messages: string,
): { readonly id: string; readonly topic: string; readonly key: string | null }[] {
  const stored = JSON.parse(messages) as readonly StoredMessage[];
  return stored.map(({ id, topic, key }) => ({ id, topic, key }));
}

/** What the messages of a half are read with. */
export interface HalfReading {
  readonly codecs: Readonly<Record<string, Codec>>;
  readonly sealer: Sealer;
  /** The database with the keys of subjects. */
  readonly session: SqlSession;
}

/** The messages as passed to a check. @throws ContentUndecipherableError, SubjectErasedError */
export async function contentToCheck(
  content: HalfContent,
  { codecs, sealer, session }: HalfReading,
): Promise<MessageToCheck[]> {
  const opened = restoreContent(content).map((message) =>
    openMessage(sealer, session, message, `message ${message.id} of a half message`),
  );
  return (await Promise.all(opened)).map(({ id, topic, key, headers, payload }) => ({
    id,
    topic,
    key,
    headers: dictionary(headers ?? {}),
    get payload() {
      return payload === null ? null : (own(codecs, topic) ?? jsonCodec).decode(payload);
    },
  }));
}

/**
 * The records to append and the timers to schedule when a half is committed.
 * @param nowMs the time of the commit, from which delays and times to live count
 */
export function deliveryOf(encoded: readonly EncodedMessage[], nowMs: number): HalfDelivery {
  const records: MessageToCollect[] = [];
  const timers: TimerCommand[] = [];
  for (const message of encoded) {
    const { id, topic, partition, key, payload, times } = message;
    const dueMs = dueTime(times, nowMs);
    const headers = headersOf(message, Math.max(dueMs ?? nowMs, nowMs));
    if (dueMs !== null && dueMs > nowMs) {
      const token = times?.timerToken ?? null;
      timers.push({
        action: 'schedule',
        message: { id, token, topic, partition, key, headers, payload },
        dueMs,
      });
      continue;
    }
    records.push({
      id: Buffer.from(id, 'latin1'),
      topic,
      partition,
      key: key === null ? null : Buffer.from(key, 'utf8'),
      headers,
      payload,
      timestampMs: nowMs,
    });
  }
  return { records, timers };
}

function dueTime(times: EncodedMessage['times'], nowMs: number): number | null {
  if (times === null) return null;
  if (times.deliverAt !== null) return new Date(times.deliverAt).getTime();
  return times.delayMs === null ? null : nowMs + times.delayMs;
}

/** A message that expires before the commit is delivered anyway: its topic decides what happens to it. */
function headersOf(message: EncodedMessage, deliverableMs: number): string | null {
  const { headers, control, times } = message;
  const expiresAtMs =
    message.expiresAtMs ??
    times?.expiresAtMs ??
    (times === null || times.ttlMs === null ? null : Math.floor(deliverableMs) + times.ttlMs);
  return headersTogether({
    headers: headers && JSON.stringify(headers),
    control: control && JSON.stringify(control),
    expiresAtMs,
    signature: message.signature,
  });
}
