import { ConfigurationError } from '@waybill/kernel';

/** The later reply to a command that threw `SagaOngoingError`; `ongoing` only reports that the work continues. */
export type LaterReply = (
  | { readonly status: 'done'; readonly payload?: unknown }
  | { readonly status: 'rejected'; readonly reason: string }
  | { readonly status: 'ongoing' }
) & {
  /** The subject of the payload's data: `ctx.subject` of the command. The reply is encrypted with that subject's keys. */
  readonly subject?: string | null;
};

/** The outcome or state of a command at its participant. */
export interface Ending {
  readonly status: 'done' | 'rejected' | 'ongoing';
  readonly payload?: unknown;
  readonly error?: string;
}

const FIELDS: Readonly<Record<Ending['status'], readonly string[]>> = {
  done: ['payload'],
  rejected: ['reason'],
  ongoing: [],
};

/** @throws ConfigurationError for an invalid reply: it may come from untyped code */
export function endingOf(reply: LaterReply): Ending {
  const given: unknown = reply;
  if (typeof given !== 'object' || given === null)
    throw unusable(`it must be an object, got ${String(given)}`);
  const { status, payload, reason } = given as Readonly<Record<string, unknown>>;
  const isStatus = typeof status === 'string' && Object.hasOwn(FIELDS, status);
  if (!isStatus) throw unusable('its status must be done, rejected or ongoing');
  const known = [...FIELDS[status as Ending['status']], 'status', 'subject'];
  const unknown = Object.keys(given).filter((name) => !known.includes(name));
  if (unknown.length > 0) throw unusable(`a reply with status ${status} has no ${unknown.join(', ')}`);
  if (status === 'done') return { status, payload };
  if (status !== 'rejected') return { status: 'ongoing' };
  if (typeof reason !== 'string') throw unusable('a rejection needs a reason, a string');
  return { status, error: reason };
}

function unusable(problem: string): ConfigurationError {
  return new ConfigurationError('The reply to a command of a saga is not usable', [problem]);
}
