import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** One problem that a payload schema found. */
export interface PayloadIssue {
  /** The path, e.g. `lines[0].sku`; empty for the payload as a whole. */
  readonly path: string;
  /** The schema library's message. It may contain values of the payload. */
  readonly message: string;
}

const PATHS_SHOWN = 10;

/**
 * A payload does not match the schema of its topic. The message names paths only: values, and the schema library's
 * messages about them, may be confidential.
 */
export class PayloadInvalidError extends WaybillError {
  override readonly name = 'PayloadInvalidError';
  override readonly code = 'PAYLOAD_INVALID';
  override readonly retryable = false;
  /** Whether it was found while publishing or while handling the message. */
  readonly when: 'publishing' | 'handling';
  /** All problems; empty when an upcaster or the schema itself failed: see `cause`. */
  readonly issues: readonly PayloadIssue[];

  /**
   * @param what the message and its topic: `message 01… to topic orders.placed`
   * @param details `problem`: what failed, if not validation; otherwise `issues` describe it
   */
  constructor(
    what: string,
    version: number,
    details: ErrorDetails &
      Pick<PayloadInvalidError, 'when'> & {
        readonly issues?: readonly PayloadIssue[];
        readonly problem?: string;
      },
  ) {
    const { when, issues = [], problem = pathsOf(issues) } = details;
    super(
      `The payload of ${what} does not match version ${version} of the topic's schema: ${problem}. ` +
        (when === 'publishing'
          ? 'Nothing was published. Correct the payload.'
          : 'Correct its producer, or the schema.'),
      details,
    );
    this.when = when;
    this.issues = issues;
  }
}

/**
 * A message has a newer version of its topic's schema than this process knows. It waits for a process that knows it.
 */
export class PayloadVersionUnknownError extends WaybillError {
  override readonly name = 'PayloadVersionUnknownError';
  override readonly code = 'PAYLOAD_VERSION_UNKNOWN';
  override readonly retryable = true;

  /** @param what the message and its topic */
  constructor(
    what: string,
    readonly version: number,
    known: number,
  ) {
    super(
      `The payload of ${what} has version ${version} of the topic's schema; this process knows versions up to ` +
        `${known}. It waits for a process with the newer version: roll that out to this group.`,
    );
  }
}

/** A message has a schema version from which no upcasters lead to the current one. */
export class PayloadVersionUnsupportedError extends WaybillError {
  override readonly name = 'PayloadVersionUnsupportedError';
  override readonly code = 'PAYLOAD_VERSION_UNSUPPORTED';
  override readonly retryable = false;

  /**
   * @param what the message and its topic
   * @param version as the message states it
   */
  constructor(what: string, version: string, oldest: number, current: number) {
    super(
      `The payload of ${what} has version ${version} of the topic's schema; this process reads versions ` +
        `${oldest} to ${current}. Add the upcasters from that version on, then redrive the message.`,
    );
  }
}

function pathsOf(issues: readonly PayloadIssue[]): string {
  const paths = [...new Set(issues.map(({ path }) => (path === '' ? 'the payload as a whole' : path)))];
  const rest = paths.length - PATHS_SHOWN;
  return `${paths.slice(0, PATHS_SHOWN).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
