import { performance } from 'node:perf_hooks';
import pg from 'pg';
import { graphilePeer } from './peers/graphile-peer.js';
import { pgbossPeer } from './peers/pgboss-peer.js';
import { tablePeer } from './peers/table-peer.js';
import { waybillBatchPeer, waybillPeer } from './peers/waybill-peer.js';
import type { Peer, Stop, Work } from './peer.js';

/** The systems that are compared, by name. */
export const PEERS = {
  waybill: waybillPeer,
  batch: waybillBatchPeer,
  table: tablePeer,
  graphile: graphilePeer,
  pgboss: pgbossPeer,
} as const satisfies Record<string, Peer>;

export type PeerName = keyof typeof PEERS;

/** What a client process is asked to do. */
export type Order =
  | {
      readonly kind: 'produce';
      readonly messages: number;
      readonly perSecond: number;
    }
  | {
      readonly kind: 'open';
      readonly role: 'producer' | 'consumer';
      readonly peer: PeerName;
      readonly url: string;
      readonly work: Work;
    }
  | { readonly kind: 'expect'; readonly messages: number }
  | { readonly kind: 'close' };

/** Its answer: times are in milliseconds since the epoch, by the number of the message. */
export interface Answer {
  readonly times: readonly number[];
  readonly rssMb: number;
}

const PRODUCERS = 16;
const INSERT_BUSINESS = 'insert into business (n) values ($1)';

const now = (): number => performance.timeOrigin + performance.now();

/** A process of the benchmark: the producers of one system, or its consumer, or both. */
class Client {
  #pool: pg.Pool | undefined;
  #publish: Awaited<ReturnType<Peer['produce']>>['publish'] | undefined;
  readonly #stops: Stop[] = [];
  #handledAt: number[] = [];
  #handled = 0;
  #expected = Infinity;
  #all: (() => void) | undefined;
  #rssMb = 0;

  async carryOut(order: Order): Promise<Answer> {
    switch (order.kind) {
      case 'open':
        await this.#open(order);
        return { times: [], rssMb: 0 };
      case 'produce':
        return { times: await this.#produce(order), rssMb: 0 };
      case 'expect':
        return { times: await this.#expect(order.messages), rssMb: this.#rssMb };
      case 'close':
        for (const stop of this.#stops.toReversed()) await stop();
        return { times: [], rssMb: this.#rssMb };
    }
  }

  async #open({ role, peer, url, work }: Extract<Order, { kind: 'open' }>): Promise<void> {
    if (role === 'consumer') {
      this.#stops.push(await PEERS[peer].consume(url, work, (n) => this.#note(n)));
      return;
    }
    const pool = new pg.Pool({ connectionString: url, max: PRODUCERS });
    pool.on('error', () => undefined);
    const { publish, stop } = await PEERS[peer].produce(url);
    this.#pool = pool;
    this.#publish = publish;
    this.#stops.push(stop, () => pool.end());
  }

  #note(n: number): void {
    this.#handledAt[n] = now();
    this.#handled += 1;
    if (this.#handled % 1_000 === 0) this.#rssMb = Math.max(this.#rssMb, process.memoryUsage.rss() / 2 ** 20);
    if (this.#handled >= this.#expected) this.#all?.();
  }

  async #expect(messages: number): Promise<readonly number[]> {
    this.#expected = messages;
    if (this.#handled < messages) await new Promise<void>((resolve) => (this.#all = resolve));
    const times = this.#handledAt;
    this.#handledAt = [];
    this.#handled = 0;
    this.#expected = Infinity;
    return times;
  }

  /** Each message in a transaction with a business row; closed loop, or at predetermined times. */
  async #produce({ messages, perSecond }: Extract<Order, { kind: 'produce' }>): Promise<readonly number[]> {
    const times: number[] = [];
    const startedAt = performance.now();
    let next = 0;
    const one = async (): Promise<void> => {
      const client = await (this.#pool as pg.Pool).connect();
      try {
        while (next < messages) {
          const n = next;
          next += 1;
          const waitMs = perSecond === 0 ? 0 : startedAt + (n * 1_000) / perSecond - performance.now();
          if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
          await client.query('begin');
          await client.query(INSERT_BUSINESS, [n]);
          await this.#publish?.(client, n);
          await client.query('commit');
          times[n] = now();
        }
      } finally {
        client.release();
      }
    };
    await Promise.all(Array.from({ length: PRODUCERS }, one));
    return times;
  }
}

if (process.send !== undefined) {
  const client = new Client();
  process.on('message', (order: Order) => {
    client.carryOut(order).then(
      (answer) => process.send?.({ answer }),
      (error: unknown) => process.send?.({ error: error instanceof Error ? error.stack : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit());
}
