import 'reflect-metadata';
import {
  applyDecorators,
  type CallHandler,
  createParamDecorator,
  type ExecutionContext,
  HttpException,
  Injectable,
  mixin,
  type NestInterceptor,
  SetMetadata,
  StreamableFile,
  type Type,
  UseInterceptors,
} from '@nestjs/common';
import { isWaybillError, resolveOptions, type OptionSpec } from '@waybill/kernel';
import { flag } from '@waybill/kernel/internal';
import { from, lastValueFrom, type Observable } from 'rxjs';
import { IdempotencyError } from './idempotency-error.js';
import {
  authenticatedUser,
  type CallerOf,
  type IdempotentHttpRequest,
  identityOf,
} from './request-identity.js';
import { RequestGuard } from '../guards/request-guard.js';
import { InjectWaybill } from '../injection/waybill-token.js';
import { DEFAULT_NAME } from '../options/instance-name.js';

/** The part of a response that is used, common to Express and Fastify. */
interface HttpResponse {
  readonly statusCode: number;
  status(code: number): unknown;
  header(name: string, value: string): unknown;
}

/** Options of {@link IdempotentRequest}. */
export interface IdempotentRequestOptions {
  /** Whether a request without the header is refused; otherwise it runs unguarded. Default true. */
  readonly required?: boolean;
  /**
   * Identifies the caller: each caller has separate keys. Default: the authenticated user, `request.user.id` (or
   * `userId`, or `sub`), which needs a guard that authenticates; without one the application does not start.
   * `'anonymous'`: all callers share their responses.
   */
  readonly caller?: CallerOf | 'anonymous';
  /** The instance of Waybill, if an application has several. */
  readonly name?: string;
}

const SPECS = { required: flag(true), caller: callerSpec() };
/** The metadata key under which a class or a method declares how its callers are identified. */
const CALLER = 'waybill:idempotent-request';

const HEADER = 'idempotency-key';
/** The stored response to a request. */
interface StoredResponse {
  readonly status: number;
  readonly body?: unknown;
  /** Whether it was thrown as an HttpException. */
  readonly thrown: boolean;
}
/** Requests that are already guarded: a method's guard within an application-wide one does nothing. */
const guarded = new WeakSet<object>();
/** Refusals that mean "not now": the request may be repeated with its key. */
const NOT_NOW = new Set([408, 425, 429]);

/**
 * Runs a request with an `Idempotency-Key` once: a repetition gets the status and body of the first response, and the
 * header `Idempotency-Replayed: true`. The same key with another query or body gets 422, during the first request 409
 * with `Retry-After`, a missing or invalid key 400, an unknown caller 401. Keys are separate for each caller, method
 * and route with its parameters; they are kept for `guards.requests.windowMs` (a day).
 *
 * 4xx responses that the handler throws are kept; after 408, 425, 429, 5xx and any other error the key is free again.
 * Handlers must return JSON values.
 *
 * The key is marked when the handler has ended. If the process crashes before that, its lease expires and a repetition
 * runs the handler again: what must not happen twice goes through `messageIdGuard.once` in its own transaction, under
 * the key that {@link IdempotencyKey} gives the handler.
 *
 * It runs inside the interceptors of the class and of the application, and passes them the body as plain JSON, also the
 * first time. If they convert the body by its class (ClassSerializerInterceptor), provide {@link
 * IdempotencyInterceptor} as the first `APP_INTERCEPTOR` instead.
 * @throws ConfigurationError
 */
export function IdempotentRequest(options: IdempotentRequestOptions = {}): MethodDecorator & ClassDecorator {
  const { name, ...rest } = options;
  resolveOptions('decorator @IdempotentRequest', SPECS, rest);
  const declared: DeclaredCaller = { isGiven: rest.caller !== undefined, instance: name ?? DEFAULT_NAME };
  return applyDecorators(SetMetadata(CALLER, declared), UseInterceptors(interceptorFor(name, rest)));
}

/** How an {@link IdempotentRequest} identifies its callers. */
export interface DeclaredCaller {
  /** By its own option. */
  readonly isGiven: boolean;
  readonly instance: string;
}

/** What a class or a method has declared; undefined if it is not decorated. */
export function declaredCaller(target: object): DeclaredCaller | undefined {
  return Reflect.getMetadata(CALLER, target) as DeclaredCaller | undefined;
}

/** The request's `Idempotency-Key`, for a handler's parameter; undefined if it has none and needs none. */
export const IdempotencyKey: () => ParameterDecorator = createParamDecorator(
  (_: unknown, execution: ExecutionContext): string | undefined =>
    keyOf(execution.switchToHttp().getRequest<IdempotentHttpRequest>()),
);

/** See {@link IdempotentRequest}. Requests other than HTTP pass unguarded. */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  readonly #options;

  /** @throws ConfigurationError */
  constructor(
    private readonly guard: RequestGuard,
    options: Omit<IdempotentRequestOptions, 'name'> = {},
  ) {
    this.#options = resolveOptions('IdempotencyInterceptor', SPECS, options);
  }

  /** Whether an option identifies the caller; otherwise it is the authenticated user. */
  get knowsCaller(): boolean {
    return this.#options.caller !== authenticatedUser;
  }

  intercept(execution: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (execution.getType() !== 'http') return next.handle();
    const request = execution.switchToHttp().getRequest<IdempotentHttpRequest>();
    const key = keyOf(request);
    if (key === undefined && !this.#options.required) return next.handle();
    if (key === undefined) throw new IdempotencyError('missing');
    if (guarded.has(request)) return next.handle();
    guarded.add(request);
    return from(this.#response(key, request, execution.switchToHttp().getResponse<HttpResponse>(), next));
  }

  async #response(
    key: string,
    request: IdempotentHttpRequest,
    response: HttpResponse,
    next: CallHandler,
  ): Promise<unknown> {
    const { caller } = this.#options;
    const { scope, fingerprint } = identityOf(request, caller === 'anonymous' ? () => caller : caller);
    let thrown: { readonly error: unknown } | undefined;
    try {
      const { result, duplicate } = await this.guard.once({ scope, id: key, fingerprint }, async () => {
        try {
          return storedResponse(await lastValueFrom(next.handle(), { defaultValue: undefined }), response);
        } catch (error) {
          const response = refusalOf(error);
          if (response === undefined) throw error;
          thrown = { error };
          return response;
        }
      });
      if (!duplicate && thrown !== undefined) throw thrown.error;
      if (duplicate) response.header('Idempotency-Replayed', 'true');
      if (result.thrown) throw new HttpException(result.body as Record<string, unknown>, result.status);
      if (duplicate) response.status(result.status);
      return result.body;
    } catch (error) {
      throw refused(error, response);
    }
  }
}

/** The class that Nest creates within the controller's module, with the guard of the instance. */
function interceptorFor(
  name: string | undefined,
  options: Omit<IdempotentRequestOptions, 'name'>,
): Type<NestInterceptor> {
  @Injectable()
  class InstanceInterceptor extends IdempotencyInterceptor {
    constructor(@InjectWaybill(RequestGuard, name) guard: RequestGuard) {
      super(guard, options);
    }
  }
  return mixin(InstanceInterceptor);
}

/** @throws IdempotencyError if the key is invalid */
function keyOf({ headers }: IdempotentHttpRequest): string | undefined {
  const given = headers[HEADER];
  if (given === undefined) return undefined;
  // As a string of structured fields (RFC 9651) it is quoted.
  const key = /^"(.*)"$/.exec(String(given))?.[1] ?? String(given);
  if (Array.isArray(given) || !/^[\x21-\x7e]{1,255}$/.test(key)) throw new IdempotencyError('malformed');
  return key;
}

function storedResponse(body: unknown, { statusCode }: HttpResponse): StoredResponse {
  if (body instanceof StreamableFile)
    throw new TypeError('@IdempotentRequest cannot store a stream: return a JSON value');
  return { status: statusCode, body, thrown: false };
}

/** The response of a handler that refuses for good; undefined if the request may be repeated. */
function refusalOf(error: unknown): StoredResponse | undefined {
  if (!(error instanceof HttpException)) return undefined;
  const status = error.getStatus();
  if (status < 400 || status > 499 || NOT_NOW.has(status)) return undefined;
  return { status, body: error.getResponse(), thrown: true };
}

/** Converts the guard's refusals to HTTP errors; returns everything else unchanged. */
function refused(error: unknown, response: HttpResponse): unknown {
  if (!isWaybillError(error)) return error;
  const { code } = error;
  if (code === 'ID_MISMATCH') return new IdempotencyError('other-content', error);
  const seconds = Math.ceil(((error as { retryAfterMs?: number }).retryAfterMs ?? 1_000) / 1_000);
  if (code === 'EFFECT_IN_PROGRESS' || code === 'FENCED' || code === 'LEASE_STORE_UNAVAILABLE') {
    response.header('Retry-After', String(Math.max(1, seconds)));
    return new IdempotencyError(code === 'LEASE_STORE_UNAVAILABLE' ? 'unavailable' : 'in-progress', error);
  }
  return error;
}

function callerSpec(): OptionSpec<CallerOf | 'anonymous'> {
  return {
    default: authenticatedUser,
    check: (value) =>
      typeof value === 'function' || value === 'anonymous' ? undefined : "must be a function, or 'anonymous'",
  };
}
