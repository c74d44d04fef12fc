/** Only Waybill writes headers in this namespace. */
export const RESERVED_HEADER_PREFIX = 'waybill-';

/** The header that carries a message's id in the log. */
export const MESSAGE_ID_HEADER = 'waybill-id';

/** The header with a message's expiry time: milliseconds since the epoch, as text. */
export const EXPIRES_AT_HEADER = 'waybill-expires-at';

/** The header that names the message that this one replaces. */
export const CAUSE_ID_HEADER = 'waybill-cause-id';

/** The header with a message's signature, which proves its sender. */
export const SIGNATURE_HEADER = 'waybill-signature';

/** These headers describe the message itself, and change when it is sent again. */
const OF_THE_MESSAGE: ReadonlySet<string> = new Set([
  MESSAGE_ID_HEADER,
  EXPIRES_AT_HEADER,
  CAUSE_ID_HEADER,
  SIGNATURE_HEADER,
]);

/** Whether a header controls Waybill: a reply, a command, a request. */
export function isControlHeader(name: string): boolean {
  return name.startsWith(RESERVED_HEADER_PREFIX) && !OF_THE_MESSAGE.has(name);
}
