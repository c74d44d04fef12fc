import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One charge in so many is refused at first. */
const MOODY = 8;
/** A moody charge is refused so often at most before it goes through. */
const MOST_REFUSALS = 3;
const BODY_MAX = 10_000;

/** The customers with whom something is wrong, or different. */
export interface GatewayCustomers {
  /** Charging their cards fails until {@link GatewayServer.repair}. */
  readonly broken: ReadonlySet<string>;
  /** They pay by bank transfer, and never do. */
  readonly transfer: ReadonlySet<string>;
}

/**
 * The world outside the shop: a card gateway on 127.0.0.1 that fails now and then, and for some customers until it is
 * repaired. It charges an idempotency key once, however often it is asked.
 */
export class GatewayServer {
  readonly #server: Server;
  readonly #asked = new Map<string, number>();
  readonly #charged = new Map<string, string>();
  #broken: ReadonlySet<string>;
  #refusals = 0;

  constructor(private readonly customers: GatewayCustomers) {
    this.#broken = customers.broken;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /** Listens on a free port; resolves to the URL. */
  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** From now on every card can be charged. */
  repair(): void {
    this.#broken = new Set();
  }

  /** How often it has charged each invoice. */
  get charges(): ReadonlyMap<string, number> {
    const charges = new Map<string, number>();
    for (const invoiceNo of this.#charged.values()) charges.set(invoiceNo, (charges.get(invoiceNo) ?? 0) + 1);
    return charges;
  }

  /** How often it has said that it cannot charge now. */
  get refusals(): number {
    return this.#refusals;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const key = String(request.headers['idempotency-key'] ?? '');
    let body = '';
    for await (const chunk of request) {
      body += String(chunk);
      if (body.length > BODY_MAX) return void response.destroy();
    }
    const { invoiceNo, customerId } = JSON.parse(body) as { invoiceNo: string; customerId: string | null };
    const status = this.#statusOf(key, customerId ?? '');
    if (status === 201) this.#charged.set(key, invoiceNo);
    if (status === 503) this.#refusals += 1;
    response.writeHead(status).end();
  }

  #statusOf(key: string, customerId: string): 201 | 202 | 503 {
    if (this.#charged.has(key)) return 201;
    if (this.#broken.has(customerId)) return 503;
    if (this.customers.transfer.has(customerId)) return 202;
    const asked = (this.#asked.get(key) ?? 0) + 1;
    this.#asked.set(key, asked);
    const mood = createHash('sha256').update(key).digest().readUInt32BE();
    const refusals = mood % MOODY === 0 ? 1 + (mood % MOST_REFUSALS) : 0;
    return asked <= refusals ? 503 : 201;
  }
}
