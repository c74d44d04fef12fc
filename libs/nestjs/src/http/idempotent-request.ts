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

/** What is done with a response; Express and Fastify have it both. */
interface HttpResponse {
  readonly statusCode: number;
  status(code: number): unknown;
  header(name: string, value: string): unknown;
}

/** Options of {@link IdempotentRequest}. */
export interface IdempotentRequestOptions {
  /** Whether a request without the header is refused; else it is let through, unguarded. Default true. */
  readonly required?: boolean;
  /**
   * Who asks: keys of one caller mean nothing to another. Default: the authenticated user, `request.user.id` (or `userId`,
   * or `sub`), which takes a guard that authenticates; without one the application does not start. `'anonymous'`: all
   * share their answers.
   */
  readonly caller?: CallerOf | 'anonymous';
  /** The instance of Waybill, where an application has several. */
  readonly name?: string;
}

const SPECS = { required: flag(true), caller: callerSpec() };
/** Under this key a class or a method says whether its requests tell who asks. */
const CALLER = 'waybill:idempotent-request';

const HEADER = 'idempotency-key';
/** What a guard keeps of a request: how it was answered. */
interface StoredResponse {
  readonly status: number;
  readonly body?: unknown;
  /** Whether it was thrown as an HttpException. */
  readonly thrown: boolean;
}
/** Requests that are under a guard: one of a method within one of the application does nothing. */
const guarded = new WeakSet<object>();
/** Refusals that say "not now": the request may be sent again under its key. */
const NOT_NOW = new Set([408, 425, 429]);

/**
 * Answers a request with an `Idempotency-Key` once: a repetition gets status and body of the first answer, and the header
 * `Idempotency-Replayed: true`. The same key with another query or body is 422, while the first is under way 409 with
 * `Retry-After`, a missing or unusable key 400, an unknown caller 401. Keys are the caller's, the method's and the route's
 * own, with its parameters; they are kept for `guards.requests.windowMs` (a day).
 *
 * Answers with 4xx that the handler throws are kept; after 408, 425, 429, 5xx and any other error the key is free again.
 * Handlers return JSON values.
 *
 * The key is marked when the handler has ended. When the process dies before that, its lease ends, and a repetition runs
 * the handler again: what must not happen twice goes through `messageIdGuard.once` in its own transaction, under the key that
 * {@link IdempotencyKey} gives the handler.
 *
 * It stands within the interceptors of the class and of the application, and hands them the body as plain JSON, at the
 * first time too. Where they make something else of it by its class (ClassSerializerInterceptor), provide
 * {@link IdempotencyInterceptor} as the first `APP_INTERCEPTOR` instead.
 * @throws ConfigurationError
 */
export function IdempotentRequest(options: IdempotentRequestOptions = {}): MethodDecorator & ClassDecorator {
  const { name, ...rest } = options;
  resolveOptions('decorator @IdempotentRequest', SPECS, rest);
  const declared: DeclaredCaller = { isGiven: rest.caller !== undefined, instance: name ?? DEFAULT_NAME };
  return applyDecorators(SetMetadata(CALLER, declared), UseInterceptors(interceptorFor(name, rest)));
}

/** How an {@link IdempotentRequest} knows who asks. */
export interface DeclaredCaller {
  /** By an option of its own. */
  readonly isGiven: boolean;
  readonly instance: string;
}

/** What a class or a method has declared; undefined where it is not decorated. */
export function declaredCaller(target: object): DeclaredCaller | undefined {
  return Reflect.getMetadata(CALLER, target) as DeclaredCaller | undefined;
}

/** The request's `Idempotency-Key`, for a handler's parameter; undefined when it has none and needs none. */
export const IdempotencyKey: () => ParameterDecorator = createParamDecorator(
  (_: unknown, execution: ExecutionContext): string | undefined =>
    keyOf(execution.switchToHttp().getRequest<IdempotentHttpRequest>()),
);

/** See {@link IdempotentRequest}. Requests of other kinds than HTTP pass. */
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

  /** Whether an option says who asks; else it is the authenticated user. */
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

/** The class that Nest makes within the module of the controller, with the guard of the instance. */
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

/** @throws IdempotencyError when it is not usable */
function keyOf({ headers }: IdempotentHttpRequest): string | undefined {
  const given = headers[HEADER];
  if (given === undefined) return undefined;
  // As a text of structured fields (RFC 9651) it stands in quotes.
  const key = /^"(.*)"$/.exec(String(given))?.[1] ?? String(given);
  if (Array.isArray(given) || !/^[\x21-\x7e]{1,255}$/.test(key)) throw new IdempotencyError('malformed');
  return key;
}

function storedResponse(body: unknown, { statusCode }: HttpResponse): StoredResponse {
  if (body instanceof StreamableFile)
    throw new TypeError('a stream cannot be kept for @IdempotentRequest: return a JSON value');
  return { status: statusCode, body, thrown: false };
}

/** The answer of a handler that refuses for good; undefined when the request may be sent again. */
function refusalOf(error: unknown): StoredResponse | undefined {
  if (!(error instanceof HttpException)) return undefined;
  const status = error.getStatus();
  if (status < 400 || status > 499 || NOT_NOW.has(status)) return undefined;
  return { status, body: error.getResponse(), thrown: true };
}

/** What the guard refuses, in the words of HTTP; everything else as it is. */
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
