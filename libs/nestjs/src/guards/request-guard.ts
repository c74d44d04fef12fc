import { LeaseGuard } from '@waybill/guard';

/** The {@link LeaseGuard} of requests with an `Idempotency-Key`: inject it into your own `IdempotencyInterceptor`. */
export class RequestGuard extends LeaseGuard {}
