import { invariant, type SqlSession } from '@waybill/kernel';
import { dictionary, own } from '@waybill/kernel/internal';
import { type MessageToCollect, type Sealer } from '@waybill/log';
import { headersTogether, openMessage } from '@waybill/log/internal';
import { type Codec, type EncodedMessage, jsonCodec } from '@waybill/outbox';
import type { TimerCommand } from '@waybill/timer';
import type { MessageToCheck } from './half-message.js';

/** A message as the row of its half keeps it; its payload stands beside it. */
type StoredMessage = Omit<EncodedMessage, 'payload' | 'keepSubject'>;

/** The messages of a half in the form of its row. */
export interface HalfContent {
  /** {@link StoredMessage}s as JSON. */
  readonly messages: string;
  readonly payloads: readonly Buffer[];
}

/** What committing a half does beside marking it. */
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

/** Ids, topics and keys of the messages in a row, which may be decided and have no payloads any more. */
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
  /** Where the keys of subjects are. */
  readonly session: SqlSession;
}

/** The messages as a check sees them. @throws ContentUndecipherableError, SubjectErasedError */
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
 * What is to be appended and what is to be scheduled when a half is committed.
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

/** A message that has expired before it was committed is delivered all the same: its topic says what becomes of it. */
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
