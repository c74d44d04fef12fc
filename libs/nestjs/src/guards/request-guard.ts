import { LeaseGuard } from '@waybill/guard';

/** The {@link LeaseGuard} of requests with an `Idempotency-Key`: what an `IdempotencyInterceptor` of your own goes by. */
export class RequestGuard extends LeaseGuard {}
