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
