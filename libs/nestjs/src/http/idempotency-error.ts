import { HttpException } from '@nestjs/common';

const REFUSALS = {
  missing: [
    400,
    'Send the header Idempotency-Key: a new value for each request, the same value when you repeat it',
  ],
  'caller-unknown': [401, 'Log in first: an Idempotency-Key belongs to its sender'],
  malformed: [400, 'The header Idempotency-Key must be 1 to 255 visible ASCII characters'],
  'other-content': [
    422,
    'This Idempotency-Key was already used for a request with different content; use a new key for a new request',
  ],
  'in-progress': [
    409,
    'The request with this Idempotency-Key is still running; repeat it after Retry-After seconds',
  ],
  unavailable: [503, 'It is currently unknown whether this request was already made; repeat it later'],
} as const;

/** Reasons for refusing a request with (or without) an `Idempotency-Key`. */
export type IdempotencyRefusal = keyof typeof REFUSALS;

/** `@IdempotentRequest` refused a request; `refusal` gives the reason, also in the response body. */
export class IdempotencyError extends HttpException {
  constructor(
    readonly refusal: IdempotencyRefusal,
    cause?: unknown,
  ) {
    const [statusCode, message] = REFUSALS[refusal];
    super({ statusCode, refusal, message }, statusCode, { cause });
  }
}
