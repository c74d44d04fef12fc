import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { GatewayJournal, type GatewayMovement } from './gateway-journal.js';

const BODY_MAX = 10_000;
/** Delay of a late response, in milliseconds; longer than the shop waits. */
const LATE_MS = 700;
/** Maximum number of refusals before a faulty movement goes through. */
const MOST_REFUSALS = 2;
/** One in this number of movements has each fault at first. */
const MOODY = 16;
const MOODS = ['refuses', 'breaks', 'hangs', 'late'] as const;

/** The gateway's fault in a movement at first: it fails before or after it, never responds, or responds too late. */
type Mood = (typeof MOODS)[number] | 'good';

/** The customers with special treatment. */
export interface GatewayCustomers {
  /** Charging their cards fails until {@link GatewayServer.repair}. */
  readonly broken: ReadonlySet<string>;
  /** They pay by bank transfer. */
  readonly transfer: ReadonlySet<string>;
}

interface Body {
  readonly invoiceNo: string;
  readonly customerId: string | null;
  readonly amountPence: number;
}

/**
 * The external service: a card gateway on 127.0.0.1 with its own books. It moves money once for an idempotency
 * key, however often it is called; `GET /charges/<key>` reports what it has done (404: nothing, and nothing will come
 * of an earlier request; 409: in progress). Faults are derived from the invoice, so that they are the same in every
 * run.
 */
export class GatewayServer {
  readonly #server: Server;
  readonly #journal: GatewayJournal;
  readonly #asked = new Map<string, number>();
  /** Keys of movements in progress. */
  readonly #underWay = new Set<string>();
  #hold: { readonly held: () => void; readonly released: Promise<void> } | undefined;

  /** @param journalPath file of its books; every entry in it has happened */
  constructor(
    private readonly customers: GatewayCustomers,
    journalPath: string,
  ) {
    this.#journal = new GatewayJournal(journalPath);
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /** Listens on a port, 0 for a free one; resolves to the URL. */
  async start(port = 0): Promise<string> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
    this.#journal.close();
  }

  /** From now on every card can be charged. */
  repair(): void {
    this.#journal.noteRepair();
  }

  /**
   * Holds back the response to the next charge, and queries about it, once it is made: calls `held` then, and responds
   * when
   * `released` resolves.
   * That is the worst moment for the caller to crash.
   */
  holdNext(held: () => void, released: Promise<void>): void {
    this.#hold = { held, released };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, resource, key] = (request.url ?? '').split('/');
    if (request.method === 'GET') return this.#look(decodeURIComponent(key ?? ''), response);
    let text = '';
    for await (const chunk of request) {
      text += String(chunk);
      if (text.length > BODY_MAX) return void response.destroy();
    }
    // The caller may already have queried a request that it no longer waits for: such a request must not be carried
    // out.
    if (Number(request.headers['x-valid-until']) < Date.now()) return void response.writeHead(408).end();
    const idempotencyKey = String(request.headers['idempotency-key'] ?? '');
    await this.#move(idempotencyKey, resource === 'refunds', JSON.parse(text) as Body, response);
  }

  #look(key: string, response: ServerResponse): void {
    const found = this.#underWay.has(key) ? 409 : this.#journal.find(key);
    if (typeof found === 'object') return say(response, found);
    response.writeHead(found ?? 404).end();
  }

  async #move(key: string, isRefund: boolean, body: Body, response: ServerResponse): Promise<void> {
    const { invoiceNo, amountPence } = body;
    if (this.#underWay.has(key)) return void response.writeHead(409).end();
    const done = this.#journal.find(key);
    if (done !== undefined) return say(response, done);
    const mood = this.#moodFor(key, isRefund, body);
    if (mood !== 'good') this.#journal.noteTrouble();
    if (mood === 'refuses') return void response.writeHead(503).end();
    if (mood === 'hangs') return;
    if (mood === 'late') {
      this.#underWay.add(key);
      await delay(LATE_MS);
      this.#underWay.delete(key);
    }
    const awaited = !isRefund && this.customers.transfer.has(body.customerId ?? '');
    const state = isRefund ? 'refunded' : awaited ? 'awaited' : 'charged';
    const movement: GatewayMovement = { key, state, invoiceNo, amountPence };
    this.#journal.add(movement);
    if (mood === 'breaks') return void response.writeHead(500).end();
    if (state === 'charged') await this.#holdIfWanted(key);
    say(response, movement);
  }

  async #holdIfWanted(key: string): Promise<void> {
    const hold = this.#hold;
    if (hold === undefined) return;
    this.#hold = undefined;
    this.#underWay.add(key);
    hold.held();
    await hold.released;
    this.#underWay.delete(key);
  }

  #moodFor(key: string, isRefund: boolean, { invoiceNo, customerId }: Body): Mood {
    if (!isRefund && !this.#journal.repaired && this.customers.broken.has(customerId ?? '')) return 'refuses';
    const asked = (this.#asked.get(key) ?? 0) + 1;
    this.#asked.set(key, asked);
    const chance = createHash('sha256').update(`${isRefund}/${invoiceNo}`).digest().readUInt32BE();
    const mood = MOODS[chance % MOODY] ?? 'good';
    const times = mood === 'refuses' ? 1 + (chance % MOST_REFUSALS) : 1;
    return asked > times ? 'good' : mood;
  }
}

function say(response: ServerResponse, { state }: GatewayMovement): void {
  response.writeHead(state === 'awaited' ? 202 : 200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ state }));
}
