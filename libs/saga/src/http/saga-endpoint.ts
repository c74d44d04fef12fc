import { lookup as resolveName } from 'node:dns';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import {
  ConfigurationError,
  EndpointRefusedError,
  type Given,
  type Resolved,
  resolveOptions,
  wholeNumber,
} from '@waybill/kernel';

const SPECS = {
  /** Longest time for one call, with its answer, in milliseconds. */
  timeoutMs: wholeNumber({ default: 25_000, min: 10, max: 600_000 }),
  /** Longest answer that is read, in bytes. */
  maxAnswerBytes: wholeNumber({ default: 1_048_576, min: 1, max: 64 * 1_048_576 }),
};

/** Which call the credentials are for. */
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
  /** Hosts, in the same form, that may stand in a private network, or on this machine. Default: none. */
  readonly privateHosts?: readonly string[];
  /** Headers for a call, such as its credentials. Asked at each try; they are never stored. */
  readonly headers?: (call: SagaHttpCall) => Promise<Readonly<Record<string, string>>>;
};

/** What an endpoint has answered. */
export interface EndpointAnswer {
  readonly status: number;
  readonly text: string;
}

/** Addresses that are nobody's on the internet: private, local, reserved (IANA's special-purpose registries). */
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
// Of version 6, what is not global unicast, and the ranges in it that carry addresses of version 4 or are reserved.
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
 * Makes the HTTP calls of a service's sagas. Where they go is checked when the connection is made, by address, so that a
 * name which resolves to another address by then gains nothing; redirects are not followed.
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

  /** How long a call may take, in milliseconds. */
  get timeoutMs(): number {
    return this.#options.timeoutMs;
  }

  /** @throws ConfigurationError when a definition names a host that may not be called */
  assertAllowed(urls: Iterable<string>): void {
    const problems = [...urls].filter((url) => !this.#isListed(new URL(url)));
    if (problems.length > 0)
      throw new ConfigurationError(
        'Sagas call hosts that are not in sagas.http.hosts',
        problems.map((url) => `${new URL(url).host} is not listed`),
      );
  }

  /**
   * Calls an endpoint once.
   * @throws EndpointRefusedError when it may not be called
   * @throws Error for everything that leaves open whether it has done anything
   */
  async post(
    call: SagaHttpCall,
    headers: Readonly<Record<string, string>>,
    body: string,
    signal: AbortSignal,
  ): Promise<EndpointAnswer> {
    const url = new URL(call.url);
    if (!this.#isListed(url)) throw new EndpointRefusedError(url.host, 'it is not in sagas.http.hosts');
    const isPrivateAllowed = this.#privateHosts.has(url.host) || this.#privateHosts.has(url.hostname);
    const literal = url.hostname.replace(/^\[|\]$/g, '');
    if (!isPrivateAllowed && isIP(literal) !== 0 && isPrivate(literal)) throw privateAddress(url.host);
    const own = (await this.#headers?.(call)) ?? {};
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    const options = {
      method: 'POST',
      headers: { ...own, ...headers, 'content-length': Buffer.byteLength(body) },
      signal: AbortSignal.any([signal, AbortSignal.timeout(this.#options.timeoutMs)]),
      lookup: isPrivateAllowed ? resolveName : publicLookup(url.host),
    };
    return new Promise((resolve, reject) => {
      const request = send(url, options as Parameters<typeof send>[1], (response) => {
        this.#read(response).then(resolve, reject);
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  #isListed({ host, hostname }: URL): boolean {
    return this.#hosts === undefined || this.#hosts.has(host) || this.#hosts.has(hostname);
  }

  async #read(response: IncomingMessage): Promise<EndpointAnswer> {
    const { maxAnswerBytes } = this.#options;
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxAnswerBytes) {
        response.destroy();
        throw new RangeError(`the endpoint's answer is longer than ${maxAnswerBytes} bytes`);
      }
      chunks.push(chunk);
    }
    return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') };
  }
}

/** Whether an address is one that the internet does not route. */
export function isPrivate(address: string): boolean {
  return PRIVATE.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** Looks a name up, and fails when any of its addresses is private. */
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
    'it stands in a private network or on this machine; list it in sagas.http.privateHosts if that is meant',
  );
}

function hostProblems(name: string, hosts: readonly string[]): string[] {
  const isHost = (host: unknown): boolean =>
    typeof host === 'string' &&
    URL.canParse(`http://${host}`) &&
    new URL(`http://${host}`).host !== '' &&
    !/[/@?#]/.test(host);
  if (!Array.isArray(hosts)) return [`${name} must be a list of hosts`];
  return hosts
    .filter((host) => !isHost(host))
    .map(() => `${name} must be a list of hosts such as api.example.com:8443`);
}
