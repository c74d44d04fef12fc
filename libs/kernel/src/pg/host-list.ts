import { show } from '../options.js';

/** Where a server listens: a host name, an address, or a folder of Unix sockets; and its port. */
export interface ServerPlace {
  readonly host: string;
  readonly port: number;
}

const DEFAULT_PORT = 5_432;

/** For messages. */
export function describePlace({ host, port }: ServerPlace): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Parses a list of hosts as libpq does: `db1,db2:5433,[::1]:5432`.
 * @param ports one port for all hosts without their own, or a list with one for each
 * @param problems receives what is wrong
 */
export function parseHosts(hosts: string, ports: string, problems: string[]): ServerPlace[] {
  const entries = hosts.split(',');
  const common = ports.split(',');
  if (common.length > 1 && common.length !== entries.length) {
    problems.push(`it lists ${entries.length} hosts and ${common.length} ports: give each host its own port`);
    return [];
  }
  if (entries.includes('')) {
    problems.push('its list of hosts has an empty entry: write host1:5432,host2:5432');
    return [];
  }
  return entries.flatMap((entry, at) => {
    const [host, own] = splitEntry(entry);
    const text = own || (common.length > 1 ? common[at] : common[0]) || process.env['PGPORT'] || '';
    const port = text === '' ? DEFAULT_PORT : Number(text);
    if (host === '') problems.push(`its list of hosts has an entry without a host: ${show(entry)}`);
    else if (!Number.isInteger(port) || port < 1 || port > 65_535)
      problems.push(
        `the port of host ${show(host)} must be a whole number from 1 to 65535, got ${show(text)}`,
      );
    else return [{ host, port }];
    return [];
  });
}

/** A name with more than one colon and no brackets is an IPv6 address without a port. */
function splitEntry(entry: string): readonly [host: string, port: string] {
  const bracketed = /^\[([^\]]+)\](?::(.*))?$/.exec(entry);
  if (bracketed !== null) return [bracketed[1] ?? '', bracketed[2] ?? ''];
  const [host = '', port = '', ...more] = entry.split(':');
  return more.length > 0 ? [entry, ''] : [decode(host), port];
}

/** The folder of a socket is percent-encoded in a URL. */
function decode(host: string): string {
  try {
    return decodeURIComponent(host);
  } catch {
    return host;
  }
}
