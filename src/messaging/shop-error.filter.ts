import { Catch, type RpcExceptionFilter } from '@nestjs/common';
import { NonRetryableError } from '@waybill/nestjs';
import { type Observable, throwError } from 'rxjs';
import { ShopError } from '../shop-error.js';

/** A message that contradicts the shop's books does not improve by retrying: it becomes a dead letter immediately. */
@Catch(ShopError)
export class ShopErrorFilter implements RpcExceptionFilter<ShopError> {
  catch(error: ShopError): Observable<never> {
    return throwError(() => new NonRetryableError(error.message, { cause: error }));
  }
}
