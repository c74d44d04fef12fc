import 'reflect-metadata';
import {
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import { PATTERN_EXTRAS_METADATA } from '@nestjs/microservices/constants.js';
import { HandlerVerdict } from '@waybill/consumer';
import { ConfigurationError } from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';
import { from, lastValueFrom, type Observable } from 'rxjs';
import { GUARD_KINDS, type IdempotentGuard } from '../guards/guard-kind.js';
import { isBatch } from './batch-payloads.js';
import { type Once, onceEach } from './idempotent-batch.js';
import { WaybillContext } from './waybill-context.js';

/**
 * The key under which the extras of `@EventPattern` hold the handler's guard. A symbol, so that it is not taken for an
 * option.
 */
const GUARD = Symbol.for('waybill.idempotent');

/** Options of {@link Idempotent}. */
export interface IdempotentOptions<Payload = unknown> {
  /** Default `entry`: correct if the handler writes through its transaction and the producer sends a message once. */
  readonly guard?: IdempotentGuard;
  /** Identifies the message for `message-id` and `lease`. Default: the message's id. */
  readonly id?: (payload: Payload, context: WaybillContext) => string | null | undefined;
  /** Identifies the handler in stored rows. Default `Class.method`; set it before you rename either. */
  readonly name?: string;
}

/** A handler's guard, as stored in the handler's extras. */
export interface DeclaredGuard {
  readonly guard: IdempotentGuard;
  /** For error messages: `Billing.onPlaced`. */
  readonly where: string;
}

/**
 * Lets a message take effect once in an `@EventPattern` handler; put it above or below that decorator. A duplicate does
 * not run the handler again; the handler's result is stored, so it must be JSON. Pipes run within the guard, class-wide
 * and global interceptors around it.
 *
 * Of a batch handler's messages it gets those that it has not handled before. `lease` is not for batch handlers.
 *
 * With `lease`, do not write through the delivery's transaction: the effect is marked as done before that transaction
 * commits, and if it does not commit, the effect is not repeated.
 * @throws ConfigurationError
 */
export function Idempotent<Payload = never>(options: IdempotentOptions<Payload> = {}): MethodDecorator {
  const { guard = 'entry', id, name } = options as IdempotentOptions;
  const problems: string[] = [];
  if (!GUARD_KINDS.includes(guard))
    problems.push(`guard must be one of ${GUARD_KINDS.join(', ')}, got ${show(guard)}`);
  if (guard === 'entry' && id !== undefined)
    problems.push('guard entry recognises a delivery by its place in the log: leave out id');
  if (name !== undefined && !/^[^\0]{1,100}$/.test(name)) problems.push('name must be 1 to 100 characters');
  if (problems.length > 0)
    throw new ConfigurationError('The options of @Idempotent are not usable', problems);
  return (prototype, method, descriptor) => {
    const handler = descriptor.value as object;
    const where = `${prototype.constructor.name}.${String(method)}`;
    const extras = Reflect.getMetadata(PATTERN_EXTRAS_METADATA, handler) as object | undefined;
    const declared: DeclaredGuard = { guard, where };
    Reflect.defineMetadata(PATTERN_EXTRAS_METADATA, { ...extras, [GUARD]: declared }, handler);
    if (guard === 'entry') return;
    UseInterceptors(new IdempotentInterceptor({ guard, id, name: name ?? where }))(
      prototype,
      method,
      descriptor,
    );
  };
}

/** The guard of the handler with these extras; undefined if it has none. */
export function guardOf(extras: unknown): DeclaredGuard | undefined {
  return (extras as { [GUARD]?: DeclaredGuard } | undefined)?.[GUARD];
}

/** Runs one handler under its guard. */
class IdempotentInterceptor implements NestInterceptor {
  constructor(
    private readonly options: {
      readonly guard: 'message-id' | 'lease';
      readonly id: IdempotentOptions['id'];
      readonly name: string;
    },
  ) {}

  intercept(execution: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { guard, id, name } = this.options;
    const rpc = execution.switchToRpc();
    const context = rpc.getContext<unknown>();
    if (!(context instanceof WaybillContext) || context.guards === undefined) {
      throw new ConfigurationError('@Idempotent works only for deliveries of Waybill', [
        `${name} was called by another transport: use MessageIdGuard or LeaseGuard there`,
      ]);
    }
    const { guards } = context;
    const once = (payload: unknown, one: WaybillContext, work: () => Promise<unknown>): Promise<unknown> => {
      const messageId = id === undefined ? one.messageId : id(payload, one);
      return guards.once({ guard, name, messageId, context: one }, work);
    };
    const data = rpc.getData<unknown>();
    if (!isBatch(data)) return from(once(data, context, () => lastValueOf(next)));
    const each = context.singles.map(
      (one, index): Once =>
        async (work) =>
          once(data[index], one, work),
    );
    return from(
      onceEach(each, (fresh) => {
        data.splice(0, Infinity, ...fresh.map((index) => data[index]));
        context.keepOnly(fresh);
        return lastValueOf(next);
      }),
    );
  }
}

/** The last value that the handler returned. A verdict is not a result: it is thrown, so that it is not stored. */
async function lastValueOf(next: CallHandler): Promise<unknown> {
  const result: unknown = await lastValueFrom(next.handle(), { defaultValue: undefined });
  if (result instanceof HandlerVerdict) throw result;
  return result;
}
