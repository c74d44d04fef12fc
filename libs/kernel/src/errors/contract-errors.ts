import { type ErrorDetails, WaybillError } from './waybill-error.js';

/** One thing that a payload schema found wrong. */
export interface PayloadIssue {
  /** Where, as `lines[0].sku`; empty for the payload as a whole. */
  readonly path: string;
  /** In the words of the schema's library. They may hold values of the payload. */
  readonly message: string;
}

const PATHS_SHOWN = 10;

/**
 * A payload does not fit the schema of its topic. The message names paths only: values, and what the schema's library
 * says of them, may be nobody else's business.
 */
export class PayloadInvalidError extends WaybillError {
  override readonly name = 'PayloadInvalidError';
  override readonly code = 'PAYLOAD_INVALID';
  override readonly retryable = false;
  /** Whether it was found when the message was to be published, or when it was to be handled. */
  readonly when: 'publishing' | 'handling';
  /** Everything that is wrong; empty when an upcaster or the schema itself failed, which `cause` is then. */
  readonly issues: readonly PayloadIssue[];

  /**
   * @param what the message and its topic: `message 01… to topic orders.placed`
   * @param details `problem`: what else has failed; else `issues` tell it
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
      `The payload of ${what} does not fit version ${version} of the topic's schema: ${problem}. ` +
        (when === 'publishing'
          ? 'Nothing was published; correct it.'
          : 'Correct its producer, or the schema.'),
      details,
    );
    this.when = when;
    this.issues = issues;
  }
}

/** A message is of a newer version of its topic's schema than this process knows. It waits for one that does. */
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
      `The payload of ${what} is of version ${version} of the topic's schema, and this process knows up to version ` +
        `${known}. It waits for a process of the newer version: roll that out to this group.`,
    );
  }
}

/** A message is of a version of its topic's schema from which no upcasters lead to the current one. */
export class PayloadVersionUnsupportedError extends WaybillError {
  override readonly name = 'PayloadVersionUnsupportedError';
  override readonly code = 'PAYLOAD_VERSION_UNSUPPORTED';
  override readonly retryable = false;

  /**
   * @param what the message and its topic
   * @param version as the message says
   */
  constructor(what: string, version: string, oldest: number, current: number) {
    super(
      `The payload of ${what} is of version ${version} of the topic's schema, and this process reads versions ` +
        `${oldest} to ${current}. Add the upcasters from it on, then redrive the message.`,
    );
  }
}

function pathsOf(issues: readonly PayloadIssue[]): string {
  const paths = [...new Set(issues.map(({ path }) => (path === '' ? 'the payload as a whole' : path)))];
  const rest = paths.length - PATHS_SHOWN;
  return `${paths.slice(0, PATHS_SHOWN).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
