import { once } from 'node:events';
import { type AddressInfo, createServer, type NetConnectOpts, type Server } from 'node:net';
import { GatedConnection } from './gated-connection.js';

/** Options of a {@link ServiceGate}. */
export interface ServiceGateOptions {
  /** The database to which it connects. */
  readonly connectionString: string;
  /** `application_name` of connections that set none. */
  readonly applicationName: string;
  /** Settings of every session. */
  readonly settings: Readonly<Record<string, string>>;
  /** Called when a crash point was reached, and the gate is shut. */
  readonly onCrash: (point: number) => void;
}

/**
 * A proxy between one instance of a service and its database, on loopback: every connection of that instance, and no
 * other, goes through it. So all of them can be cut at the same moment, at an exact point in the work of one of them.
 */
export class ServiceGate {
  readonly #connections = new Set<GatedConnection>();
  readonly #listener: Server;
  #isShut = false;

  private constructor(private readonly options: ServiceGateOptions) {
    const server = addressOf(new URL(options.connectionString));
    const { settings, onCrash } = options;
    const crash = (point: number): void => {
      if (this.#isShut) return;
      this.shut();
      onCrash(point);
    };
    this.#listener = createServer((socket) => {
      const connection = new GatedConnection(socket, { server, settings, crash }, () =>
        this.#connections.delete(connection),
      );
      this.#connections.add(connection);
      if (this.#isShut) connection.cut();
    });
  }

  static async open(options: ServiceGateOptions): Promise<ServiceGate> {
    const gate = new ServiceGate(options);
    gate.#listener.listen(0, '127.0.0.1');
    await once(gate.#listener, 'listening');
    return gate;
  }

  /** The connection string through the gate. */
  get connectionString(): string {
    const url = new URL(this.options.connectionString);
    url.hostname = '127.0.0.1';
    url.port = String((this.#listener.address() as AddressInfo).port);
    for (const name of ['host', 'port', 'sslmode', 'ssl']) url.searchParams.delete(name);
    url.searchParams.set('application_name', this.options.applicationName);
    return url.href;
  }

  get isShut(): boolean {
    return this.#isShut;
  }

  /** The server's processes for its connections. */
  get pids(): number[] {
    return [...this.#connections].flatMap(({ pid }) => pid ?? []);
  }

  /** Cuts every connection off from the server, and refuses new ones. */
  shut(): void {
    this.#isShut = true;
    for (const connection of this.#connections) connection.cut();
  }

  /**
   * Refuses new connections. Those of a pool that its service has not ended stay, refused, until the pool releases
   * them.
   */
  close(): void {
    this.shut();
    for (const connection of this.#connections) connection.unref();
    this.#listener.close();
    this.#listener.unref();
  }
}

function addressOf(url: URL): NetConnectOpts {
  const port = Number(url.port || url.searchParams.get('port') || 5432);
  const host = url.searchParams.get('host') ?? decodeURIComponent(url.hostname);
  if (host.startsWith('/')) return { path: `${host}/.s.PGSQL.${port}` };
  return { port, host: host.replace(/^\[|\]$/g, '') || 'localhost' };
}
