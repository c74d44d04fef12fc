import { ConfigurationError } from '@waybill/kernel';
import { own } from '@waybill/kernel/internal';

/** The URL of an HTTP command, with fields of its request in path and query. */
export interface UrlTemplate {
  /** Host and port, as in a list of hosts. */
  readonly host: string;
  /** As it is defined. */
  readonly text: string;
  /**
   * The URL for a request.
   * @throws TypeError when a field is missing or would change the destination
   */
  for(request: unknown): string;
}

const FIELD = /\{([A-Za-z_$][\w$]{0,99})\}/g;
/** Scheme, user, host and port. A backslash ends them as a slash does. */
const AUTHORITY = /^[^/]*\/\/[^/?#\\]*/;
/** Path segments that navigate (`.` and `..`). The URL parser decodes encoded dots too. */
const DOTS = /^(\.|%2e){1,2}$/i;

/** Reads the URL of a command. @throws ConfigurationError */
export function urlTemplate(text: string): UrlTemplate {
  // A number replaces each field, so that the text around them can be parsed.
  const probe = typeof text === 'string' ? text.replaceAll(FIELD, '0') : '';
  if (!URL.canParse(probe) || !/^https?:$/.test(new URL(probe).protocol))
    throw unusable('its URL is not an http or https URL');
  const { username, password, host, origin } = new URL(probe);
  if (username !== '' || password !== '')
    throw unusable(
      `its URL of ${host} contains a user or a password, which would end up in logs and tables: use sagas.http.headers`,
    );
  const [authority = ''] = AUTHORITY.exec(text) ?? [];
  if (/[{}]/.test(authority))
    throw unusable('scheme, host and port of its URL must be fixed in the definition, not taken from data');
  if (text.includes('\\')) throw unusable('its URL has a backslash');
  if (/[{}]/.test(probe))
    throw unusable(`its URL has a brace that does not belong to a field such as {orderId}`);
  return { host, text, for: (request) => expand(text, origin, request) };
}

function expand(text: string, origin: string, request: unknown): string {
  const [authority = ''] = AUTHORITY.exec(text) ?? [];
  const [path = ''] = text.slice(authority.length).split(/[?#]/, 1);
  const segments = path.split('/').map((segment) => {
    const filled = fill(segment, request);
    if (filled !== segment && DOTS.test(filled))
      throw new TypeError(
        `fields of the request would change the path of ${origin}: ${segment} would become dots`,
      );
    return filled;
  });
  const rest = fill(text.slice(authority.length + path.length), request);
  const url = new URL(`${authority}${segments.join('/')}${rest}`);
  if (url.origin !== origin) throw new TypeError(`fields of the request would leave ${origin}`);
  return url.href;
}

function fill(text: string, request: unknown): string {
  return text.replaceAll(FIELD, (_, name: string) => encodeURIComponent(fieldOf(request, name)));
}

/** Its value is in no error: errors are stored with the saga in plain text. */
function fieldOf(request: unknown, name: string): string {
  const fields = typeof request === 'object' && request !== null ? (request as Record<string, unknown>) : {};
  const value = own(fields, name);
  if (typeof value !== 'string' && typeof value !== 'boolean' && !Number.isFinite(value))
    throw new TypeError(`field ${name} of the request is neither a string nor a number`);
  if (value === '') throw new TypeError(`field ${name} of the request is empty`);
  return String(value);
}

function unusable(problem: string): ConfigurationError {
  return new ConfigurationError('A command is not usable', [problem]);
}
