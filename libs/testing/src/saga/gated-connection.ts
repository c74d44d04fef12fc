import { connect, type NetConnectOpts, type Socket } from 'node:net';
import {
  CANCEL_REQUEST,
  GSS_REQUEST,
  READY,
  refusal,
  SSL_REQUEST,
  typeOf,
  WireFrames,
  withSettings,
} from './wire-frames.js';

/**
 * Prefix of the notice by which a trigger of the test's database reports a crash point: the point's id and moment
 * follow.
 */
export const CRASH_NOTICE = 'waybill-testing-crash:';
const NOTICE = new RegExp(`${CRASH_NOTICE}(\\d+):(before|after)`);
const CRASHED = 'the test has crashed this instance of the service';

/** The part of its gate that a {@link GatedConnection} uses. */
export interface GateDependencies {
  readonly server: NetConnectOpts;
  /** Settings of every session. */
  readonly settings: Readonly<Record<string, string>>;
  /** Called when a crash point is reached here, before anything of it is passed on to the service. */
  readonly crash: (point: number) => void;
}

/**
 * One connection of a service to the database, message by message. When its service crashes, the server's side is
 * closed, and each request of the service gets the error that the database is shutting down: whatever it still does
 * fails, and has no effect. (A broken connection would end the process of a service whose pool has no error listener.)
 */
export class GatedConnection {
  /** The server's process for it; undefined before it is known. */
  pid: number | undefined;
  readonly #fromClient = new WireFrames();
  readonly #fromServer = new WireFrames();
  #server: Socket | undefined;
  #isReady = false;
  #isCut = false;
  /** Responses that the client waits for. */
  #awaited = 0;
  /** The crash point that is reached when the current transaction is committed. */
  #atCommit: number | undefined;
  #hasFailed = false;

  constructor(
    private readonly client: Socket,
    private readonly dependencies: GateDependencies,
    onClose: () => void,
  ) {
    client.setNoDelay(true);
    client.on('error', () => undefined);
    client.on('close', () => {
      this.#server?.destroy();
      onClose();
    });
    client.on('data', (bytes) => {
      this.#fromClient.push(bytes);
      this.#readClient();
    });
  }

  /** From now on nothing reaches the server, and every request is refused. */
  cut(): void {
    if (this.#isCut) return;
    this.#isCut = true;
    this.#server?.destroy();
    if (!this.#isReady) return this.#dismiss();
    for (; this.#awaited > 0; this.#awaited -= 1) this.#refuse();
  }

  /** Does not keep the process running. */
  unref(): void {
    this.client.unref();
  }

  #readClient(): void {
    for (;;) {
      const frame = this.#fromClient.next(this.#server !== undefined);
      if (frame === undefined) return;
      if (this.#server === undefined) this.#begin(frame);
      else this.#request(frame, this.#server);
    }
  }

  #begin(frame: Buffer): void {
    const code = frame.readInt32BE(4);
    if (code === SSL_REQUEST || code === GSS_REQUEST) {
      this.client.write('N');
      return;
    }
    if (this.#isCut) return this.#dismiss();
    const server = connect(this.dependencies.server);
    server.setNoDelay(true);
    server.on('error', () => undefined);
    server.on('close', () => {
      if (!this.#isCut) this.client.destroy();
    });
    server.on('data', (bytes) => {
      this.#fromServer.push(bytes);
      this.#readServer();
    });
    this.#server = server;
    server.write(code === CANCEL_REQUEST ? frame : withSettings(frame, this.dependencies.settings));
  }

  #request(frame: Buffer, server: Socket): void {
    const type = typeOf(frame);
    const wantsResponse = type === 'Q' || type === 'S' || type === 'F';
    if (!this.#isCut) {
      if (wantsResponse) this.#awaited += 1;
      server.write(frame);
    } else if (type === 'X') this.client.destroy();
    else if (wantsResponse) this.#refuse();
  }

  #readServer(): void {
    while (!this.#isCut) {
      const frame = this.#fromServer.next(true);
      if (frame === undefined) return;
      if (this.#passes(frame)) this.client.write(frame);
    }
  }

  /** Tracks the server's messages. @returns whether to pass the message on to the client */
  #passes(frame: Buffer): boolean {
    const type = typeOf(frame);
    if (type === 'K') this.pid = frame.readInt32BE(5);
    else if (type === 'N') {
      const [, point, moment] = NOTICE.exec(frame.toString('latin1')) ?? [];
      if (point === undefined) return true;
      if (moment === 'before') this.dependencies.crash(Number(point));
      else this.#atCommit = Number(point);
      this.#hasFailed = false;
      return false;
    } else if (type === 'E') this.#hasFailed = true;
    if (this.#atCommit !== undefined && this.#crashesAt(type, frame, this.#atCommit)) return false;
    if (type === 'Z') {
      if (this.#isReady) this.#awaited = Math.max(0, this.#awaited - 1);
      this.#isReady = true;
    }
    return true;
  }

  /** The response to COMMIT is the crash; so is the end of a statement that was a transaction by itself. */
  #crashesAt(type: string, frame: Buffer, point: number): boolean {
    const tag = type === 'C' ? frame.subarray(5, -1).toString('latin1') : '';
    const isOver = type === 'Z' && frame[5] === READY[5];
    if (tag === 'ROLLBACK' || (isOver && this.#hasFailed)) this.#atCommit = undefined;
    else if (tag === 'COMMIT' || isOver) {
      this.dependencies.crash(point);
      return true;
    }
    return false;
  }

  #refuse(): void {
    this.client.write(Buffer.concat([refusal('ERROR', CRASHED), READY]));
  }

  #dismiss(): void {
    this.client.end(refusal('FATAL', CRASHED));
  }
}
