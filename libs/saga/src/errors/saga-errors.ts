import { WaybillError } from '@waybill/kernel';

/** A active saga needs a version of its definition that this process does not have. */
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
      `This process has no version ${version} of saga ${type}; it has ${here}. A saga keeps the version that it began ` +
        'with: register it alongside the newer one until those sagas have ended.',
    );
  }
}

/** A saga has not ended while its caller waited; it continues. */
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
      `Saga ${sagaId} (${type}) is ${state} after ${afterMs} ms. It continues on its own: ask ` +
        'again with the same key, and inspect it with `waybill saga show` when it is STUCK.',
    );
  }
}

/** Why a command of a saga can no longer be replied to. */
export type CommandOver = 'replied' | 'rejected' | 'taken-back' | 'unknown';

const OVER: Readonly<Record<CommandOver, string>> = {
  replied: 'it has been replied to',
  rejected: 'it has been rejected',
  'taken-back': 'the saga has compensated it in the meantime',
  unknown:
    'the barrier of this database does not know it: its delivery was rolled back or is still running, or it is older than ' +
    'the barrier remembers, or it was carried out in another database',
};

/** A later reply came for a command that is over: what was done for the reply must not be committed. */
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
      `The command ${op} of branch ${branch} of saga ${sagaId} is over: ${OVER[why]}. No reply was sent. Roll this ` +
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
    super(`The order for saga ${sagaId} was not carried out: ${why}. Inspect the saga again, then decide.`);
  }
}

/** The later reply of an endpoint to a saga's HTTP call was refused. */
export class SagaCallbackRefusedError extends WaybillError {
  override readonly name = 'SagaCallbackRefusedError';
  override readonly code = 'SAGA_CALLBACK_REFUSED';
  override readonly retryable = false;

  constructor(
    /** `forged`: no service with sagas in this database made the token. `stale`: the saga no longer awaits its call. */
    readonly kind: 'forged' | 'stale',
    /** Null for a malformed token. */
    readonly sagaId: string | null,
    why: string,
  ) {
    const advice =
      kind === 'forged'
        ? 'Pass the header waybill-callback of the call on unchanged.'
        : 'What the endpoint has done may have to be undone by hand: inspect the saga with `waybill saga show`.';
    super(`The reply to a call of saga ${sagaId ?? '(unknown)'} was refused: ${why}. ${advice}`);
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

/** The input of a start, or of a signal, is not valid. Nothing was written. */
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
    const names = known.length === 0 ? 'it has no signals' : `it waits for ${known.join(', ')}`;
    super(
      `Saga ${sagaId} (${type}) does not wait for the signal ${JSON.stringify(signal)}: ${names}. Correct the name.`,
    );
  }
}

/** A active saga began with a definition whose fingerprint differs from this process's. */
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
      `Version ${version} of saga ${type} has changed since the saga began: ${differences.join('; ')}. Restore the old steps, and ` +
        'add a version for the new ones, or mark the changed steps as patched.',
    );
  }
}

/** No process of the service has registered the definition: the saga would never progress. Nothing was written. */
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
      `No process of service ${service} has version ${version} of saga ${type}: the saga would never progress. Register the ` +
        'definition, in Nest as a property of a @Saga() provider, and start the service.',
    );
  }
}
