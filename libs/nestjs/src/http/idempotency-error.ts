import { HttpException } from '@nestjs/common';

const REFUSALS = {
  missing: [
    400,
    'Send the header Idempotency-Key: a new text for each request, the same one when you send it again',
  ],
  'caller-unknown': [401, 'Log in first: an Idempotency-Key belongs to who sends it'],
  malformed: [400, 'The header Idempotency-Key must be 1 to 255 visible characters of ASCII'],
  'other-content': [
    422,
    'This Idempotency-Key was sent before with another content; take a new one for a new request',
  ],
  'in-progress': [
    409,
    'The request with this Idempotency-Key is under way; send it again after Retry-After seconds',
  ],
  unavailable: [503, 'It cannot be told just now whether this request was made before; send it again later'],
} as const;

/** Why a request with (or without) an `Idempotency-Key` was refused. */
export type IdempotencyRefusal = keyof typeof REFUSALS;

/** A request was refused by `@IdempotentRequest`; `refusal` says why, also in the body of the answer. */
export class IdempotencyError extends HttpException {
  constructor(
    readonly refusal: IdempotencyRefusal,
    cause?: unknown,
  ) {
    const [statusCode, message] = REFUSALS[refusal];
    super({ statusCode, refusal, message }, statusCode, { cause });
  }
}
