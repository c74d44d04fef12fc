import { ConfigurationError } from '@waybill/kernel';

/** The answer to a command that was `SagaOngoingError`, when it is known; `ongoing` only says that the work goes on. */
export type LaterReply = (
  | { readonly status: 'done'; readonly payload?: unknown }
  | { readonly status: 'rejected'; readonly reason: string }
  | { readonly status: 'ongoing' }
) & {
  /** Whose data the payload holds: `ctx.subject` of the command. The answer is encrypted with keys of that subject's own. */
  readonly subject?: string | null;
};

/** How a command has ended, or stands, at its participant. */
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

/** @throws ConfigurationError for an answer that is none: it may come from code without types */
export function endingOf(reply: LaterReply): Ending {
  const given: unknown = reply;
  if (typeof given !== 'object' || given === null)
    throw unusable(`it must be an object, got ${String(given)}`);
  const { status, payload, reason } = given as Readonly<Record<string, unknown>>;
  const isStatus = typeof status === 'string' && Object.hasOwn(FIELDS, status);
  if (!isStatus) throw unusable('its status must be done, rejected or ongoing');
  const known = [...FIELDS[status as Ending['status']], 'status', 'subject'];
  const unknown = Object.keys(given).filter((name) => !known.includes(name));
  if (unknown.length > 0) throw unusable(`an answer that is ${status} has no ${unknown.join(', ')}`);
  if (status === 'done') return { status, payload };
  if (status !== 'rejected') return { status: 'ongoing' };
  if (typeof reason !== 'string') throw unusable('a rejection needs a reason, which is a text');
  return { status, error: reason };
}

function unusable(problem: string): ConfigurationError {
  return new ConfigurationError('The answer to a command of a saga is not usable', [problem]);
}
