import type { SagaCommandContract, SagaOp } from '../definition/saga-command.js';
import type {
  CommandAction,
  EachAction,
  LocalAction,
  SagaData,
  StepPolicy,
} from '../definition/saga-definition.js';
import type { EachChild, EachCommand, EachLocal } from './each-step.js';
import type { LocalStep, LocalUndo } from '../definition/saga-steps.js';
import { own } from '@waybill/kernel/internal';

export function nothing(): undefined {
  return undefined;
}

export function commandAction<Data, Request, Reply>(
  op: SagaOp,
  command: SagaCommandContract<Request, Reply>,
  request: (data: Data) => Request,
  apply: ((reply: Reply, data: Data) => object) | undefined,
  policy: CommandAction['policy'],
): CommandAction {
  return {
    kind: 'command',
    op,
    command,
    request: request as CommandAction['request'],
    apply: (apply ?? nothing) as CommandAction['apply'],
    policy,
  };
}

export function localAction<Data, Transaction>(
  run: LocalStep<Data, object, Transaction>['run'] | LocalUndo<Data, Transaction>['run'],
  policy: LocalAction['policy'],
): LocalAction {
  return { kind: 'local', run: run as LocalAction['run'], policy };
}

/** The result of an item so far, as stored in the data; undefined before its reply. */
function resultOf(data: SagaData, list: string, key: string): unknown {
  return own(own(data, list) as Readonly<Record<string, unknown>> | undefined, key);
}

/** Makes a command for each item. */
export function commandElement<Data>(
  list: string,
  { invoke, with: request, then, undo }: EachCommand<Data, unknown, unknown, unknown, unknown, unknown>,
  policy: StepPolicy,
  undoPolicy: StepPolicy,
): EachAction['element'] {
  return (item, key) => ({
    forward: commandAction<Data, unknown, unknown>(
      'action',
      invoke,
      (data) => request(item, data),
      then && ((reply, data) => then(reply, item, data) as object),
      policy,
    ),
    undo:
      undo &&
      commandAction<Data, unknown, unknown>(
        'compensate',
        undo.invoke,
        (data) => undo.with(item, data, resultOf(data as SagaData, list, key)),
        undefined,
        undoPolicy,
      ),
  });
}

/** Makes an action in the saga's own transaction for each item. */
export function localElement<Data>(
  { run, undo }: EachLocal<Data, unknown, unknown, unknown>,
  policy: StepPolicy,
  undoPolicy: StepPolicy,
): EachAction['element'] {
  return (item) => ({
    forward: localAction<Data, unknown>((data, context) => run(item, data, context) as never, policy),
    undo: undo && localAction<Data, unknown>((data, context) => undo.run(item, data, context), undoPolicy),
  });
}

/** Makes a child for each item. */
export function childElement<Data>({
  saga,
  key,
  with: input,
  then,
}: EachChild<Data, unknown, object, object, unknown>): EachAction['element'] {
  return (item) => ({
    forward: {
      kind: 'child',
      type: saga.type,
      version: saga.version,
      start: (data) => ({ key: key(item, data as Data), data: input(item, data as Data) as SagaData }),
      apply: (then ? (child: object, data: Data) => then(child, item, data) : nothing) as never,
    },
    undo: { kind: 'child' },
  });
}
