import { types } from 'node:util';
import { PayloadUnreadableError } from '@waybill/kernel';
import { describeThrown } from '@waybill/kernel/internal';
import type { OpenedRecord } from '@waybill/log/internal';
import { SCHEMA_VERSION_HEADER } from '@waybill/outbox/internal';
import type { Subscription } from '../handler/subscription.js';
import { messageIdOf } from '../record/record-fields.js';

/**
 * Reads the payload for its handler.
 * @throws PayloadUnreadableError, PayloadInvalidError, PayloadVersionUnsupportedError, PayloadVersionUnknownError
 */
export function readPayload(
  record: OpenedRecord,
  { codec, contract }: Pick<Subscription, 'codec' | 'contract'>,
  location: string,
): unknown {
  if (contract === undefined) return decoded(record, codec, location);
  const id = messageIdOf(record);
  const what = id === null ? location : `message ${id} at ${location}`;
  const header = record.headers.find(({ key }) => key === SCHEMA_VERSION_HEADER)?.value?.toString('utf8');
  // A newer version may also be encoded in another way.
  const version = contract.versionOf(header, what);
  return contract.read(decoded(record, codec, location), version, what);
}

function decoded(record: OpenedRecord, codec: Subscription['codec'], location: string): unknown {
  if (record.value === null) return null;
  try {
    const payload = codec.decode(record.value);
    if (types.isPromise(payload)) throw asynchronous(payload);
    return payload;
  } catch (error) {
    // The error of JSON.parse quotes the text; it would be stored in plain text in a dead letter.
    const problem = record.wasSealed ? 'its codec cannot read it' : describeThrown(error).message;
    throw new PayloadUnreadableError(location, problem, record.wasSealed ? {} : { cause: error });
  }
}

/** Its caller does not await it: a rejection must not end the process. */
function asynchronous(payload: Promise<unknown>): TypeError {
  payload.catch(() => {});
  return new TypeError('its codec returned a Promise, but payloads are read synchronously');
}
