import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A call that an endpoint has received. */
export interface EndpointCall {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What an endpoint does with a call; it may leave it without a response. */
export type Behaviour = (response: ServerResponse, call: EndpointCall) => void;

/** Responds with a status and a body. */
export function answer(status: number, body: unknown = '', headers: Record<string, string> = {}): Behaviour {
  return (response) =>
    response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** An HTTP server on this machine that records its calls. */
export class HttpEndpoint {
  readonly calls: EndpointCall[] = [];
  /** By path; a call without one succeeds. */
  behaviours: Record<string, Behaviour> = {};

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {
    server.on('request', (request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const { method = '', url: path = '', headers } = request;
        const call = { method, path, headers, body };
        this.calls.push(call);
        (this.behaviours[path] ?? answer(200, {}))(response, call);
      });
    });
  }

  static async open(): Promise<HttpEndpoint> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new HttpEndpoint(server, (server.address() as AddressInfo).port);
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  url(path: string): string {
    return `http://${this.host}${path}`;
  }

  /** The paths that were called, in order. */
  get paths(): string[] {
    return this.calls.map(({ path }) => path);
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((closed) => this.server.close(closed));
  }
}
