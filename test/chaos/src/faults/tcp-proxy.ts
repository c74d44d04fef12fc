import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** PostgreSQL's ReadyForQuery; its last byte is the transaction's status. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

/** One connection through a {@link TcpProxy}. */
interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Bytes that may still pass, in both directions together, before it breaks. */
  bytesLeft: number;
  /** Bytes that are on their way, by direction: they arrive in order. */
  readonly underway: { client: Promise<void> | undefined; server: Promise<void> | undefined };
}

/** Bytes that a client has sent and the server has not yet received. */
export interface HeldBytes {
  /**
   * Delivers them to the server, whose connection is still open although the client's is cut; resolves when it
   * responds.
   */
  deliver(): Promise<void>;
}

/** A proxy for a server, on loopback, that lets a test do what networks do: cut, go silent, deliver late. */
export class TcpProxy {
  readonly #pairs = new Set<Pair>();
  readonly #orphans = new Set<Socket>();
  readonly #server: Server;
  /** Neither side receives anything; connections stay open. Applies to new connections as well. */
  #silent = false;
  #answersStopped = false;
  #latencyMs = 0;
  #lateStatusMs = 0;
  /** How many bytes each connection may pass; asked for each. */
  #bytesToPass: (() => number) | undefined;
  #hold: { texts: readonly string[]; skip: number; taken: (held: HeldBytes) => void } | undefined;
  #cut: { text: string; times: number } | undefined;

  private constructor(private readonly target: URL) {
    this.#server = createServer((client) => this.#join(client));
  }

  /** Starts a proxy for the server of a connection string. */
  static async start(connectionString: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(new URL(connectionString));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** The connection string that goes through the proxy. */
  get url(): string {
    const url = new URL(this.target);
    url.hostname = '127.0.0.1';
    url.port = String((this.#server.address() as AddressInfo).port);
    return url.href;
  }

  /** New connections reach the server of another connection string; those that there are stay as they are. */
  moveTo(connectionString: string): void {
    const { hostname, port } = new URL(connectionString);
    this.target.hostname = hostname;
    this.target.port = port;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Connections go silent: nothing is passed on in either direction, and nothing is closed. */
  silence(): void {
    this.#silent = true;
    for (const { client, server } of this.#pairs) {
      client.pause();
      server.pause();
    }
  }

  /** Ends the silence for new connections; those that went silent stay silent. */
  heal(): void {
    this.#silent = false;
  }

  /** Holds back the server's responses until {@link letAnswer}. */
  stopAnswers(): void {
    this.#answersStopped = true;
    for (const { server } of this.#pairs) server.pause();
  }

  letAnswer(): void {
    this.#answersStopped = false;
    for (const { server } of this.#pairs) server.resume();
  }

  /** From now on everything arrives this much later, in milliseconds, in both directions. 0 ends it. */
  slowDown(latencyMs: number): void {
    this.#latencyMs = latencyMs;
  }

  /**
   * From now on the transaction's status behind each response of PostgreSQL arrives this much later than the response,
   * in milliseconds. 0 ends it.
   */
  delayStatus(ms: number): void {
    this.#lateStatusMs = ms;
  }

  /** Breaks every connection. */
  cut(): void {
    for (const pair of this.#pairs) destroy(pair);
  }

  /** Breaks every connection, new ones too, after the number of bytes that `bytesToPass` gives for it, until {@link letPass}. */
  cutAfter(bytesToPass: () => number): void {
    this.#bytesToPass = bytesToPass;
    for (const pair of this.#pairs) pair.bytesLeft = bytesToPass();
  }

  letPass(): void {
    this.#bytesToPass = undefined;
    for (const pair of this.#pairs) pair.bytesLeft = Infinity;
  }

  /** Breaks each of the next connections that sends this text, before the server gets it. */
  cutWhenSent(text: string, times: number): void {
    this.#cut = { text, times };
  }

  /**
   * Holds back the next bytes in which a client sends one of these texts, after `skip` others, and breaks that client's
   * connection: it does not learn whether the server got them. The server's side stays open, and gets them when the
   * test says so.
   */
  holdWhenSent(texts: readonly string[], skip = 0): Promise<HeldBytes> {
    return new Promise((taken) => (this.#hold = { texts, skip, taken }));
  }

  async close(): Promise<void> {
    this.#server.close();
    this.cut();
    for (const orphan of this.#orphans) orphan.destroy();
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** The caller that waits for these bytes. */
  #taker(bytes: Buffer): ((held: HeldBytes) => void) | undefined {
    const hold = this.#hold;
    if (hold === undefined || !hold.texts.some((text) => bytes.includes(text))) return undefined;
    hold.skip -= 1;
    if (hold.skip >= 0) return undefined;
    this.#hold = undefined;
    return hold.taken;
  }

  #isToBeCut(bytes: Buffer): boolean {
    if (this.#cut === undefined || this.#cut.times === 0 || !bytes.includes(this.#cut.text)) return false;
    this.#cut.times -= 1;
    return true;
  }

  #join(client: Socket): void {
    const server = connect(Number(this.target.port || 5432), this.target.hostname);
    const pair: Pair = {
      client,
      server,
      bytesLeft: this.#bytesToPass?.() ?? Infinity,
      underway: { client: undefined, server: undefined },
    };
    this.#pairs.add(pair);
    let held = false;
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#pairs.delete(pair);
        if (!held) destroy(pair);
      });
    }
    client.on('data', (bytes) => {
      const taken = this.#taker(bytes);
      if (taken !== undefined) {
        held = true;
        this.#keepForLater(pair, bytes, taken);
      } else if (this.#isToBeCut(bytes)) destroy(pair);
      else this.#pass(pair, 'server', bytes);
    });
    server.on('data', (bytes) => this.#answer(pair, bytes));
    if (this.#silent) client.pause();
    if (this.#silent || this.#answersStopped) server.pause();
  }

  #keepForLater({ client, server }: Pair, bytes: Buffer, taken: (held: HeldBytes) => void): void {
    this.#orphans.add(server);
    client.destroy();
    const answered = new Promise<void>((resolve) => {
      server.on('close', () => resolve());
      server.on('data', () => resolve());
    });
    taken({
      deliver: () => {
        if (!server.destroyed) server.write(bytes);
        return answered;
      },
    });
  }

  #answer(pair: Pair, bytes: Buffer): void {
    const isSplit = this.#lateStatusMs > 0 && bytes.subarray(-READY.length, -1).equals(READY.subarray(0, -1));
    if (!isSplit) return this.#pass(pair, 'client', bytes);
    if (bytes.length > READY.length) this.#pass(pair, 'client', bytes.subarray(0, -READY.length));
    this.#pass(pair, 'client', bytes.subarray(-READY.length), this.#latencyMs + this.#lateStatusMs);
  }

  /** Passes bytes on: at once or late, all of them or as many as the connection may still pass. */
  #pass(pair: Pair, to: 'client' | 'server', bytes: Buffer, latencyMs: number = this.#latencyMs): void {
    const passed = bytes.subarray(0, Math.max(0, Math.min(bytes.length, pair.bytesLeft)));
    pair.bytesLeft -= bytes.length;
    const deliver = (): void => {
      if (!pair[to].destroyed) pair[to].write(passed);
      // What was written still goes out; then the connection is gone, in the middle of a message.
      if (pair.bytesLeft < 0) pair[to].end(() => destroy(pair));
    };
    const before = pair.underway[to];
    if (latencyMs === 0 && before === undefined) return deliver();
    const late = sleep(latencyMs);
    const arrived = Promise.all([before, late]).then(() => {
      if (pair.underway[to] === arrived) pair.underway[to] = undefined;
      deliver();
    });
    pair.underway[to] = arrived;
  }
}

function destroy({ client, server }: Pair): void {
  client.destroy();
  server.destroy();
}
