import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type pg from 'pg';

const CHARGE = `insert into gateway_call (key, order_id, pence) values ($1, $2, $3) on conflict (key) do nothing`;
/** Refunds what was charged, and nothing if nothing was. */
const REFUND = `insert into gateway_call (key, order_id, pence) select $1, $2, -$3::int
                 where exists (select from gateway_call g where g.order_id = $2) on conflict (key) do nothing`;

/**
 * A gateway that stores its calls by idempotency key in the table `gateway_call (key, order_id, pence)`, and that
 * often fails to report them: it responds 503 before the call, or hangs, or resets the connection after it.
 */
export class FlakyGateway {
  readonly #server: Server;

  private constructor(
    private readonly pool: pg.Pool,
    private readonly trouble: number,
  ) {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  /** @param trouble the fraction of calls that fail in one of these ways */
  static async open(pool: pg.Pool, trouble: number): Promise<FlakyGateway> {
    const gateway = new FlakyGateway(pool, trouble);
    await new Promise<void>((resolve) => gateway.#server.listen(0, '127.0.0.1', resolve));
    return gateway;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, what, orderId] = (request.url ?? '').split('/');
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { pence, scenario } = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
      const mood = Math.random() / this.trouble;
      if (mood < 0.4) return void response.writeHead(503).end();
      if (what === 'charge' && scenario === 'no-money')
        return void response.writeHead(402).end('{"message":"no money"}');
      await this.pool.query(what === 'charge' ? CHARGE : REFUND, [
        request.headers['idempotency-key'],
        orderId,
        pence,
      ]);
      if (mood < 0.7) return;
      if (mood < 1) return void request.socket.destroy();
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    } catch {
      // The database is down: whether anything was done is unknown.
      response.writeHead(500).end();
    }
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
