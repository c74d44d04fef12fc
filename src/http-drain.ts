import type { Server } from 'node:http';
import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

const LOOK_EVERY_MS = 50;
/** Time that a request may still take once the application shuts down. */
const GRACE_MS = 1_000;

/**
 * Closes each HTTP connection as soon as its request has its response while the application shuts down, and after a
 * second the remaining ones. Node alone waits for clients to close them, even those that never sent a request.
 */
@Injectable()
export class HttpDrain implements BeforeApplicationShutdown {
  constructor(@Inject(HttpAdapterHost) private readonly host: HttpAdapterHost) {}

  beforeApplicationShutdown(): void {
    const server = this.host.httpAdapter.getHttpServer() as Server;
    const idle = setInterval(() => server.closeIdleConnections(), LOOK_EVERY_MS);
    const left = setTimeout(() => server.closeAllConnections(), GRACE_MS);
    server.once('close', () => {
      clearInterval(idle);
      clearTimeout(left);
    });
  }
}
