import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How the gateway behaves towards calls that charge. */
export interface GatewayMood {
  /** Charges, and never responds. */
  mute?: boolean;
  /** Charges, and cuts the connection instead of responding. */
  cuts?: boolean;
  /** Responds with an error, and does not charge. */
  broken?: boolean;
  /** Refuses. */
  declines?: boolean;
  /** Cannot be queried. */
  deaf?: boolean;
  /** Called before it charges; the call waits for it. */
  before?: (key: string) => Promise<void>;
}

/** A small payment gateway: charges and refunds once by idempotency key, and can be queried. */
export class Gateway {
  readonly mood: GatewayMood = {};
  readonly #server: Server;
  readonly #done = new Map<string, number>();
  readonly #calls = new Map<string, number>();

  private constructor() {
    this.#server = createServer((request, response) => {
      const key = String(request.headers['idempotency-key'] ?? '');
      request.resume();
      if (request.method === 'GET') this.#tell(key, response);
      else void this.#charge(key, response);
    });
  }

  static async start(): Promise<Gateway> {
    const gateway = new Gateway();
    await new Promise<void>((resolve) => gateway.#server.listen(0, '127.0.0.1', resolve));
    return gateway;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  /** How often a key took effect: 0 or 1. */
  done(key: string): number {
    return this.#done.has(key) ? 1 : 0;
  }

  /** How often it was called to charge with a key. */
  calls(key: string): number {
    return this.#calls.get(key) ?? 0;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #charge(key: string, response: ServerResponse): Promise<void> {
    this.#calls.set(key, this.calls(key) + 1);
    const { mute, cuts, broken, declines, before } = this.mood;
    await before?.(key);
    if (broken === true) return answer(response, 503, {});
    if (declines === true) return answer(response, 402, { reason: 'no cover' });
    const receipt = this.#done.get(key) ?? this.#done.size + 1;
    this.#done.set(key, receipt);
    if (cuts === true) response.destroy();
    else if (mute !== true) answer(response, 200, { receipt });
  }

  #tell(key: string, response: ServerResponse): void {
    const receipt = this.#done.get(key);
    if (this.mood.deaf === true) answer(response, 503, {});
    else answer(response, receipt === undefined ? 404 : 200, { receipt });
  }
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
