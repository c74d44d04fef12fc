/** Headers in this namespace are written by Waybill and by nobody else. */
export const RESERVED_HEADER_PREFIX = 'waybill-';

/** The header that carries a message's id in the log. */
export const MESSAGE_ID_HEADER = 'waybill-id';

/** The header that says until when a message is to be handled: milliseconds since the epoch, as text. */
export const EXPIRES_AT_HEADER = 'waybill-expires-at';

/** The header that names the message instead of which this one was sent. */
export const CAUSE_ID_HEADER = 'waybill-cause-id';

/** The header of a signed message that shows who has sent it. */
export const SIGNATURE_HEADER = 'waybill-signature';

/** What they say is of the message itself, and changes when it is sent again. */
const OF_THE_MESSAGE: ReadonlySet<string> = new Set([
  MESSAGE_ID_HEADER,
  EXPIRES_AT_HEADER,
  CAUSE_ID_HEADER,
  SIGNATURE_HEADER,
]);

/** Whether a header is one by which Waybill is told something: an answer, a command, a request. */
export function isControlHeader(name: string): boolean {
  return name.startsWith(RESERVED_HEADER_PREFIX) && !OF_THE_MESSAGE.has(name);
}
