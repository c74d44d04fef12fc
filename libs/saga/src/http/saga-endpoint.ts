import { lookup as resolveName } from 'node:dns';
import { Agent, type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as SecureAgent, request as requestHttps } from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import {
  ConfigurationError,
  describeError,
  type Given,
  isWaybillError,
  type Resolved,
  resolveOptions,
  wholeNumber,
} from '@waybill/kernel';
import { EndpointRefusedError } from '../errors/saga-errors.js';
import type { HttpCall } from '../definition/saga-command.js';
import { usableHeaders } from './call-headers.js';

const SPECS = {
  /** Time limit of one call, response included, in milliseconds. */
  timeoutMs: wholeNumber({ default: 25_000, min: 10, max: 600_000 }),
  /** Longest response that is read, in bytes. */
  maxResponseBytes: wholeNumber({ default: 1_048_576, min: 1, max: 64 * 1_048_576 }),
  /** Concurrent calls per process. */
  maxCalls: wholeNumber({ default: 32, min: 1, max: 1_000 }),
  /** Concurrent calls to one host per process, so that a hanging host does not block others. */
  maxCallsPerHost: wholeNumber({ default: 8, min: 1, max: 1_000 }),
};

/** A request is written in chunks of this many bytes, so that nothing is written after the end of its lease. */
const PIECE_BYTES = 16_384;
/** No keep-alive: with a fresh connection it is known whether anything was sent. */
const AGENTS = { 'http:': new Agent({ keepAlive: false }), 'https:': new SecureAgent({ keepAlive: false }) };

/** The call that the credentials are for. */
export interface SagaHttpCall {
  readonly url: string;
  /** The saga's type and the step. */
  readonly type: string;
  readonly step: string;
}

/** Options of the HTTP calls of a service's sagas. */
export type SagaHttpOptions = Given<typeof SPECS> & {
  /** Hosts that may be called, as `api.example.com` or `api.example.com:8443`. Default: those that definitions name. */
  readonly hosts?: readonly string[];
  /** Hosts, in the same form, that may be in a private network or on this machine. Default: none. */
  readonly privateHosts?: readonly string[];
  /** Makes headers for a call, such as its credentials. Called at each try; they are never stored. */
  readonly headers?: (call: SagaHttpCall) => Promise<Readonly<Record<string, string>>>;
};

/** The response of an endpoint. */
export interface EndpointResponse {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string | undefined;
}

/** One try of a call. */
export interface EndpointRequest {
  readonly about: SagaHttpCall;
  readonly method: string;
  /** In lower case. They take precedence over the option `headers`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Undefined: no body is sent. */
  readonly body: string | undefined;
  /** Nothing is written after this time, in milliseconds of the process's monotonic clock. */
  readonly untilMs: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** An endpoint did not respond. If anything was sent, it is unknown whether it did anything. */
export class NoResponseError extends Error {
  override readonly name = 'NoResponseError';

  constructor(
    cause: unknown,
    readonly wasSent: boolean,
  ) {
    super(describeError(cause), { cause });
  }
}

/** Addresses that are not public: private, local, reserved (IANA's special-purpose registries). */
const PRIVATE = new BlockList();
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  PRIVATE.addSubnet(net, prefix, 'ipv4');
// IPv6: everything but global unicast, and its ranges that embed IPv4 addresses or are reserved.
for (const [net, prefix] of [
  ['::', 3],
  ['4000::', 2],
  ['8000::', 1],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  PRIVATE.addSubnet(net, prefix, 'ipv6');

/**
 * Makes the HTTP calls of a service's sagas. The destination is checked by address when the connection is made, so that a
 * name that resolves to another address by then gains nothing; redirects are not followed.
 */
export class SagaEndpoints {
  readonly #options: Resolved<typeof SPECS>;
  readonly #hosts: ReadonlySet<string> | undefined;
  readonly #privateHosts: ReadonlySet<string>;
  readonly #headers: SagaHttpOptions['headers'];

  /** @throws ConfigurationError */
  constructor({ hosts, privateHosts = [], headers, ...rest }: SagaHttpOptions = {}) {
    this.#options = resolveOptions("sagas' HTTP calls", SPECS, rest, () => [
      ...hostProblems('hosts', hosts ?? []),
      ...hostProblems('privateHosts', privateHosts),
      ...(headers === undefined || typeof headers === 'function' ? [] : ['headers must be a function']),
    ]);
    this.#hosts = hosts === undefined ? undefined : new Set(hosts.map((host) => host.toLowerCase()));
    this.#privateHosts = new Set(privateHosts.map((host) => host.toLowerCase()));
    this.#headers = headers;
  }

  /** The default time limit of a call, in milliseconds, and the limits of concurrency. */
  get limits(): Pick<Resolved<typeof SPECS>, 'timeoutMs' | 'maxCalls' | 'maxCallsPerHost'> {
    return this.#options;
  }

  /** @throws ConfigurationError when a definition names a host that may not be called */
  assertAllowed(calls: Iterable<HttpCall>): void {
    const hosts = new Set([...calls].map(({ url }) => url.host));
    const problems = [...hosts].filter((host) => !this.#isListed(new URL(`http://${host}`)));
    if (problems.length > 0)
      throw new ConfigurationError(
        'Sagas call hosts that are not in sagas.http.hosts',
        problems.map((host) => `${host} is not listed`),
      );
  }

  /**
   * Makes one call.
   * @throws EndpointRefusedError when it may not be called
   * @throws NoResponseError also when the option `headers` fails: the source of credentials may be down
   * @throws TypeError for headers that cannot be sent; then nothing was sent
   */
  async call(request: EndpointRequest): Promise<EndpointResponse> {
    const { about, untilMs, timeoutMs } = request;
    const url = new URL(about.url);
    if (!this.#isListed(url)) throw new EndpointRefusedError(url.host, 'it is not in sagas.http.hosts');
    const isPrivateAllowed = this.#privateHosts.has(url.host) || this.#privateHosts.has(url.hostname);
    const literal = url.hostname.replace(/^\[|\]$/g, '');
    if (!isPrivateAllowed && isIP(literal) !== 0 && isPrivate(literal)) throw privateAddress(url.host);
    const leftMs = Math.min(timeoutMs, untilMs - performance.now());
    const timer = new AbortController();
    const timeout = setTimeout(
      () => timer.abort(new Error(`it did not respond within ${timeoutMs} ms`)),
      Math.max(0, leftMs),
    );
    const signal = AbortSignal.any([request.signal, timer.signal]);
    try {
      const own = usableHeaders(await this.#credentials(about, signal));
      const lookup = isPrivateAllowed ? resolveName : publicLookup(url.host);
      return await this.#send(url, { ...request, headers: { ...own, ...request.headers }, signal }, lookup);
    } finally {
      clearTimeout(timeout);
    }
  }

  async #credentials(about: SagaHttpCall, signal: AbortSignal): Promise<unknown> {
    try {
      return await withSignal(this.#headers?.(about), signal);
    } catch (error) {
      throw new NoResponseError(error, false);
    }
  }

  #send(
    url: URL,
    { method, headers, body, untilMs, signal }: EndpointRequest,
    lookup: LookupFunction,
  ): Promise<EndpointResponse> {
    const isSecure = url.protocol === 'https:';
    const bytes = Buffer.from(body ?? '');
    const length = body === undefined ? {} : { 'content-length': String(bytes.length) };
    const options = { method, headers: { ...headers, ...length }, signal, lookup };
    const agent = AGENTS[isSecure ? 'https:' : 'http:'];
    return new Promise((resolve, reject) => {
      let wasSent = false;
      const fail = (error: unknown): void =>
        reject(
          isWaybillError(error)
            ? error
            : new NoResponseError(signal.aborted ? signal.reason : error, wasSent),
        );
      const request = (isSecure ? requestHttps : requestHttp)(url, { ...options, agent }, (response) => {
        this.#read(response).then(resolve, fail);
      });
      request.on('error', fail);
      request.on('socket', (socket) => {
        // Nothing is written before it is connected: the process may have been stopped since, for longer than its lease.
        socket.once(isSecure ? 'secureConnect' : 'connect', () => {
          write(request, bytes, untilMs, () => (wasSent = true));
        });
      });
    });
  }

  #isListed({ host, hostname }: URL): boolean {
    return this.#hosts === undefined || this.#hosts.has(host) || this.#hosts.has(hostname);
  }

  async #read(response: IncomingMessage): Promise<EndpointResponse> {
    const { maxResponseBytes } = this.#options;
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxResponseBytes) {
        response.destroy();
        throw new RangeError(`the endpoint's response is longer than ${maxResponseBytes} bytes`);
      }
      chunks.push(chunk);
    }
    return {
      status: response.statusCode ?? 0,
      text: Buffer.concat(chunks).toString('utf8'),
      retryAfter: response.headers['retry-after'],
    };
  }
}

/** Writes a request in chunks and cuts it off at the end of its lease. */
function write(request: ClientRequest, bytes: Buffer, untilMs: number, onSending: () => void): void {
  const next = (from: number): void => {
    if (performance.now() >= untilMs)
      return void request.destroy(new Error('its lease ended before it was sent'));
    onSending();
    const to = from + PIECE_BYTES;
    if (to >= bytes.length) request.end(bytes.subarray(from));
    else request.write(bytes.subarray(from, to), (error) => error ?? next(to));
  };
  next(0);
}

/** The result of a user's function, unless the signal aborts first. */
async function withSignal<T>(work: Promise<T> | undefined, signal: AbortSignal): Promise<T | undefined> {
  if (work === undefined) return undefined;
  const aborted = new Promise<never>((_, reject) => {
    const give = (): void => reject(signal.reason as Error);
    if (signal.aborted) give();
    else signal.addEventListener('abort', give, { once: true });
  });
  return Promise.race([work, aborted]);
}

/** Whether an address is not routed on the internet. */
export function isPrivate(address: string): boolean {
  return PRIVATE.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** Resolves a name, and fails when any of its addresses is private. */
function publicLookup(host: string): LookupFunction {
  return (hostname, options, callback) => {
    resolveName(hostname, { ...options, all: true }, (error, addresses) => {
      const found = error === null ? addresses : [];
      const refused = found.some(({ address }) => isPrivate(address)) ? privateAddress(host) : error;
      const [first] = found;
      if (refused !== null || first === undefined)
        callback(refused ?? new Error(`${host} has no address`), '', 0);
      else if (options.all === true) callback(null, found);
      else callback(null, first.address, first.family);
    });
  };
}

function privateAddress(host: string): EndpointRefusedError {
  return new EndpointRefusedError(
    host,
    'it is in a private network or on this machine; list it in sagas.http.privateHosts if that is intended',
  );
}

function hostProblems(name: string, hosts: readonly string[]): string[] {
  const isHost = (host: unknown): boolean =>
    typeof host === 'string' &&
    URL.canParse(`http://${host}`) &&
    new URL(`http://${host}`).host !== '' &&
    !/[/@?#]/.test(host);
  if (!Array.isArray(hosts)) return [`${name} must be an array of hosts`];
  return hosts
    .filter((host) => !isHost(host))
    .map(() => `${name} must be an array of hosts such as api.example.com:8443`);
}
