import { Inject } from '@nestjs/common';

/** The name of the instance that is made without one. */
export const DEFAULT_NAME = 'default';

function token(what: string, name: string): symbol {
  return Symbol.for(`waybill.${what}.${name}`);
}

/** Token of the running instance, {@link Waybill}. */
export const getWaybillToken = (name: string = DEFAULT_NAME): symbol => token('instance', name);
/** Token of the {@link Outbox}; for `overrideProvider` and for `@Inject`. */
export const getOutboxToken = (name: string = DEFAULT_NAME): symbol => token('outbox', name);
/** Token of the {@link WaybillClient}. */
export const getClientToken = (name: string = DEFAULT_NAME): symbol => token('client', name);
/** Token of the {@link WaybillServer}, the strategy for `connectMicroservice`. */
export const getServerToken = (name: string = DEFAULT_NAME): symbol => token('server', name);
/** Token of the {@link WaybillHealthIndicator}. */
export const getHealthToken = (name: string = DEFAULT_NAME): symbol => token('health', name);
/** Token of the {@link WaybillAsyncApi}. */
export const getAsyncApiToken = (name: string = DEFAULT_NAME): symbol => token('async-api', name);
/** Token of the {@link WaybillMetrics}. */
export const getMetricsToken = (name: string = DEFAULT_NAME): symbol => token('metrics', name);

/** Token of the {@link DeadLetters}: to look at them and to decide about them. */
export const getDeadLettersToken = (name: string = DEFAULT_NAME): symbol => token('dead-letters', name);
/** Token of the {@link Redrives}: many dead letters at once. */
export const getRedrivesToken = (name: string = DEFAULT_NAME): symbol => token('redrives', name);

/** Token of the {@link HalfMessages}. */
export const getHalfMessagesToken = (name: string = DEFAULT_NAME): symbol => token('half-messages', name);
/** Token of the {@link HalfMessageOperations}: to look at half messages and to decide about them. */
export const getHalfMessageOperationsToken = (name: string = DEFAULT_NAME): symbol =>
  token('half-message-operations', name);

/** Token of the {@link MessageIdGuard} */
export const getMessageIdGuardToken = (name: string = DEFAULT_NAME): symbol =>
  token('message-id-guard', name);
/** Token of the {@link LeaseGuard} for effects that are in no transaction. */
export const getLeaseGuardToken = (name: string = DEFAULT_NAME): symbol => token('lease-guard', name);
/** Token of the {@link ExternalEffects}. */
export const getExternalEffectsToken = (name: string = DEFAULT_NAME): symbol =>
  token('external-effects', name);
/** Token of the {@link EffectOperations}: to look at external effects and to decide about them. */
export const getEffectOperationsToken = (name: string = DEFAULT_NAME): symbol =>
  token('effect-operations', name);
/** Token of the {@link BarrierParticipant}. */
export const getBarrierToken = (name: string = DEFAULT_NAME): symbol => token('barrier', name);
/** Token of the {@link LeaseGuard} for requests with an `Idempotency-Key`. */
export const getRequestGuardToken = (name: string = DEFAULT_NAME): symbol => token('request-guard', name);

/** Token of the {@link Sagas}: to start sagas and to tell them things. */
export const getSagasToken = (name: string = DEFAULT_NAME): symbol => token('sagas', name);
/** Token of {@link Tcc}: to run TCC transactions. */
export const getTccToken = (name: string = DEFAULT_NAME): symbol => token('tcc', name);
/** Token of the {@link SagaOperations}: to look at sagas and to decide about them. */
export const getSagaOperationsToken = (name: string = DEFAULT_NAME): symbol => token('saga-operations', name);

/** Token of the {@link SagaLockOperations}: to look at what is held for sagas, and to let it go. */
export const getSagaLockOperationsToken = (name: string = DEFAULT_NAME): symbol =>
  token('saga-lock-operations', name);

/** Token of {@link Erasure}: erases what must be forgotten. */
export const getErasureToken = (name: string = DEFAULT_NAME): symbol => token('erasure', name);
/** Token of the {@link Timers}: messages for later. */
export const getTimersToken = (name: string = DEFAULT_NAME): symbol => token('timers', name);
/** Token of {@link Recurring}: messages that recur. */
export const getRecurringToken = (name: string = DEFAULT_NAME): symbol => token('recurring', name);

/** Injects the outbox of an instance. */
export const InjectOutbox = (name?: string): ParameterDecorator & PropertyDecorator =>
  Inject(getOutboxToken(name));

/**
 * Binds a handler to one instance where an application has several, as the second argument of `@EventPattern`.
 * Without it a handler is bound to every instance.
 */
export function waybillTransport(name: string = DEFAULT_NAME): symbol {
  return Symbol.for(`waybill.transport.${name}`);
}
