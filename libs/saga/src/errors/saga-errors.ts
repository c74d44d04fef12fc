import { WaybillError } from '@waybill/kernel';

/** A saga under way keeps to a version of its definition that this process does not have. */
export class SagaVersionUnknownError extends WaybillError {
  override readonly name = 'SagaVersionUnknownError';
  override readonly code = 'SAGA_VERSION_UNKNOWN';
  override readonly retryable = true;

  constructor(
    readonly type: string,
    readonly version: number,
    known: readonly number[],
  ) {
    const here = known.length === 0 ? 'none of its versions' : `version ${known.join(', ')}`;
    super(
      `This process has no version ${version} of saga ${type}; it has ${here}. Sagas keep to the version that they began ` +
        'with: register it beside the newer one until they have ended.',
    );
  }
}

/** A saga has not come to its end while its caller waited; it goes on all the same. */
export class SagaUnderWayError extends WaybillError {
  override readonly name = 'SagaUnderWayError';
  override readonly code = 'SAGA_UNDER_WAY';
  override readonly retryable = true;

  constructor(
    readonly sagaId: string,
    readonly type: string,
    readonly key: string,
    readonly state: string,
    readonly afterMs: number,
  ) {
    super(
      `Saga ${sagaId} (${type}) is ${state} after ${afterMs} ms. It goes on whether anybody waits or not: ask ` +
        'again with the same key, and look at it by `waybill saga show` when it is STUCK.',
    );
  }
}

/** Why a command of a saga cannot be answered any more. */
export type CommandOver = 'replied' | 'rejected' | 'taken-back' | 'unknown';

const OVER: Readonly<Record<CommandOver, string>> = {
  replied: 'it was answered before',
  rejected: 'it was rejected before',
  'taken-back': 'the saga has taken it back in the meantime',
  unknown:
    'the barrier of this database does not know it: its delivery was rolled back, or is under way still, or it is older than ' +
    'the barrier remembers, or it was carried out in another database',
};

/** A command of a saga was to be answered later, and is over: what was done for the answer must not be committed. */
export class SagaCommandOverError extends WaybillError {
  override readonly name = 'SagaCommandOverError';
  override readonly code = 'SAGA_COMMAND_OVER';
  override readonly retryable = false;

  constructor(
    readonly sagaId: string,
    readonly branch: string,
    readonly op: string,
    readonly why: CommandOver,
  ) {
    super(
      `The command ${op} of branch ${branch} of saga ${sagaId} is over: ${OVER[why]}. Nothing was answered. Roll this ` +
        'transaction back, and undo by hand what was done outside of it.',
    );
  }
}

/** An operator's order for a saga was not carried out. */
export class SagaOrderRefusedError extends WaybillError {
  override readonly name = 'SagaOrderRefusedError';
  override readonly code = 'SAGA_ORDER_REFUSED';
  override readonly retryable = false;

  constructor(
    readonly sagaId: string,
    why: string,
  ) {
    super(
      `The order for saga ${sagaId} was not carried out: ${why}. Look at the saga again, and decide again.`,
    );
  }
}

/** What an endpoint answered later to a saga's HTTP call was not taken. */
export class SagaCallbackRefusedError extends WaybillError {
  override readonly name = 'SagaCallbackRefusedError';
  override readonly code = 'SAGA_CALLBACK_REFUSED';
  override readonly retryable = false;

  constructor(
    /** `forged`: no service whose sagas are here has made the token. `stale`: its call is not awaited any more. */
    readonly kind: 'forged' | 'stale',
    /** Null for a token that is none. */
    readonly sagaId: string | null,
    why: string,
  ) {
    const advice =
      kind === 'forged'
        ? 'Pass on the header waybill-callback of the call as it was.'
        : 'What the endpoint has done may have to be undone by hand: look at the saga by `waybill saga show`.';
    super(`The answer to a call of saga ${sagaId ?? '(none is named)'} was refused: ${why}. ${advice}`);
  }
}

/** A saga's HTTP command goes to a host that may not be called. It was not sent. */
export class EndpointRefusedError extends WaybillError {
  override readonly name = 'EndpointRefusedError';
  override readonly code = 'ENDPOINT_REFUSED';
  override readonly retryable = false;

  constructor(
    readonly host: string,
    why: string,
  ) {
    super(`${host} was not called: ${why}.`);
  }
}

/** What a saga was to be started with, or told, cannot be. Nothing was written. */
export class SagaInputError extends WaybillError {
  override readonly name = 'SagaInputError';
  override readonly code = 'SAGA_INPUT_INVALID';
  override readonly retryable = false;

  constructor(what: string, why: string) {
    super(`${what} ${why}.`);
  }
}

/** No step of a saga waits for signals of that name. It was not sent. */
export class SagaSignalUnknownError extends WaybillError {
  override readonly name = 'SagaSignalUnknownError';
  override readonly code = 'SAGA_SIGNAL_UNKNOWN';
  override readonly retryable = false;

  constructor(
    readonly sagaId: string,
    readonly signal: string,
    type: string,
    known: readonly string[],
  ) {
    const names = known.length === 0 ? 'it waits for none' : `it waits for ${known.join(', ')}`;
    super(`Saga ${sagaId} (${type}) waits for no signal ${JSON.stringify(signal)}: ${names}. Mend the name.`);
  }
}

/** A saga under way began with another shape of its definition than this process has. */
export class SagaDefinitionChangedError extends WaybillError {
  override readonly name = 'SagaDefinitionChangedError';
  override readonly code = 'SAGA_DEFINITION_CHANGED';
  override readonly retryable = true;

  constructor(
    readonly type: string,
    readonly version: number,
    differences: readonly string[],
  ) {
    super(
      `Version ${version} of saga ${type} has changed since the saga began: ${differences.join('; ')}. Put the old steps back, and ` +
        'add a version for the new ones, or mark them as patched.',
    );
  }
}

/** No process of the service has registered the definition: the saga would never be carried on. Nothing was written. */
export class SagaNotRegisteredError extends WaybillError {
  override readonly name = 'SagaNotRegisteredError';
  override readonly code = 'SAGA_NOT_REGISTERED';
  override readonly retryable = false;

  constructor(
    readonly type: string,
    readonly version: number,
    service: string,
  ) {
    super(
      `No process of service ${service} has version ${version} of saga ${type}: it would never be carried on. Register the ` +
        'definition, in Nest as a property of a @Saga() provider, and start the service.',
    );
  }
}
