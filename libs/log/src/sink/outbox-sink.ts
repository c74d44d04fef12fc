import { type Bell, type BoundStatement, bindStatement } from '@waybill/kernel';
import type { MessageToCollect } from '../append/batch-collector.js';
import { KnownTopics } from '../append/known-topics.js';
import type { Topics } from '../engine/topics.js';
import { EXPIRES_AT_HEADER, RESERVED_HEADER_PREFIX, SIGNATURE_HEADER } from '../record/record-headers.js';
import { enqueueMessages } from '../statements.generated.js';
import type { MessageSink } from './message-sink.js';

/** A row for the outbox. */
interface Row {
  readonly id: string;
  readonly topic: string;
  readonly partition: number | null;
  readonly key: string | null;
  readonly headers: string | null;
  readonly control: string | null;
  readonly expiresAtMs: number | null;
  readonly signature: string | null;
  readonly payload: Buffer | null;
}

/** Inserts into the outbox, from which the relay hands over to a log in another database. */
export class OutboxSink implements MessageSink {
  readonly #known: KnownTopics;

  /** @param bell rung when messages wait for the relay of this process */
  constructor(
    private readonly topics: Topics,
    private readonly bell: Bell,
  ) {
    this.#known = new KnownTopics(topics);
  }

  ready(): Promise<void> {
    return this.#known.ready();
  }

  async collect(
    fill: (add: (message: MessageToCollect) => void) => Promise<void>,
  ): Promise<BoundStatement[]> {
    const rows: Row[] = [];
    await this.#known.watch(() =>
      fill((message) => {
        this.topics.place(message);
        rows.push(rowOf(message));
      }),
    );
    return rows.length > 0 ? [insert(rows)] : [];
  }

  sent(): void {
    this.bell.ring();
  }
}

function insert(rows: readonly Row[]): BoundStatement {
  return bindStatement(
    enqueueMessages,
    rows.map(({ id }) => id),
    rows.map(({ topic }) => topic),
    rows.map(({ partition }) => partition),
    rows.map(({ key }) => key),
    rows.map(({ headers }) => headers),
    rows.map(({ control }) => control),
    rows.map(({ expiresAtMs }) => expiresAtMs),
    rows.map(({ signature }) => signature),
    rows.map(({ payload }) => payload),
  );
}

/** Headers that waited together with the message are told apart again. */
function rowOf(message: MessageToCollect): Row {
  const all = { ...parsed(message.headers), ...parsed(message.control ?? null) };
  const { [EXPIRES_AT_HEADER]: expires, [SIGNATURE_HEADER]: signed, ...rest } = all;
  const names = Object.keys(rest);
  const control = names.filter((name) => name.startsWith(RESERVED_HEADER_PREFIX));
  const headers = names.filter((name) => !name.startsWith(RESERVED_HEADER_PREFIX));
  return {
    id: message.id.toString('latin1'),
    topic: message.topic,
    partition: message.partition,
    key: message.key?.toString() ?? null,
    headers: jsonOf(rest, headers),
    control: jsonOf(rest, control),
    expiresAtMs: message.expiresAtMs ?? (expires === undefined ? null : Number(expires)),
    signature: message.signature ?? signed ?? null,
    payload: message.payload,
  };
}

function parsed(json: string | null): Record<string, string> {
  return json === null ? {} : (JSON.parse(json) as Record<string, string>);
}

function jsonOf(headers: Readonly<Record<string, string>>, names: readonly string[]): string | null {
  if (names.length === 0) return null;
  return JSON.stringify(Object.fromEntries(names.map((name) => [name, headers[name]])));
}
