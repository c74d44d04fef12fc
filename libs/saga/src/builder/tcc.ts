import { saga } from './saga-builder.js';
import type { SagaOptions } from './step-drafts.js';
import type { SagaCommandContract } from '../definition/saga-command.js';
import type { SagaDefinition } from '../definition/saga-definition.js';
import type { StepPolicyOptions } from '../definition/step-policy.js';

/** A participant of a TCC transaction: its try, confirm and cancel commands. All three get the same payload. */
export interface TccBranch<Input, Request, Reply = unknown> {
  readonly try: SagaCommandContract<Request, Reply>;
  readonly confirm: SagaCommandContract<Request, unknown>;
  readonly cancel: SagaCommandContract<Request, unknown>;
  readonly with: (data: Input) => Request;
  /** Leaves the branch out when it returns false. */
  readonly when?: (data: Input) => boolean;
  /** Of the try. */
  readonly policy?: StepPolicyOptions;
  /** Of confirm and cancel: retried until they succeed or an operator decides. */
  readonly endPolicy?: StepPolicyOptions;
}

/** The replies to the tries, by branch name. */
export interface TccTries {
  readonly tries: Readonly<Record<string, unknown>>;
}

/** Takes branches of every request type. */
export type AnyTccBranch<Input> = TccBranch<Input, never>;

/** Lets each branch keep a request type of its own. */
export function tccBranch<Input, Request, Reply = unknown>(
  branch: TccBranch<Input, Request, Reply>,
): AnyTccBranch<Input> {
  return branch as AnyTccBranch<Input>;
}

/**
 * A TCC transaction (try, confirm, cancel): all branches are tried in parallel; when every try is done, all are
 * confirmed; when one is rejected or given up, all are cancelled. It runs as a saga, so its branches are in the
 * database before the first is called; the barrier of each participant handles empty cancels and late tries.
 * The replies to the tries are stored in the data as `tries`, by branch name.
 *
 * @typeParam Input the data it is started with
 * @throws ConfigurationError
 */
export function tcc<Input extends object>(
  type: string,
  branches: Readonly<Record<string, AnyTccBranch<Input>>>,
  options: SagaOptions = {},
): SagaDefinition<Input, Input & TccTries> {
  const names = Object.keys(branches);
  const each = names.map((name) => [name, branches[name] as TccBranch<Input, unknown>] as const);
  const tried = saga<Input>(type, options).parallel((group) => {
    for (const [name, branch] of each) {
      const { with: request, when, policy, endPolicy } = branch;
      group.branch(
        name,
        {
          invoke: branch.try,
          with: request,
          then: (reply, data) => ({ tries: { ...(data as Partial<TccTries>).tries, [name]: reply ?? null } }),
          undo: { invoke: branch.cancel, with: request, ...(endPolicy && { policy: endPolicy }) },
          ...(when && { when }),
          ...(policy && { policy }),
        },
        { forward: 'try', undo: 'cancel', branch: name },
      );
    }
    return group;
  });
  // The decision: from here on the transaction only goes forward.
  const decided = tried.local('decide', { pivot: true, run: async () => {} });
  return decided
    .parallel((group) => {
      for (const [name, branch] of each) {
        const { with: request, when, endPolicy } = branch;
        group.branch(
          `${name}.confirm`,
          {
            invoke: branch.confirm,
            with: request,
            ...(when && { when }),
            ...(endPolicy && { policy: endPolicy }),
          },
          { forward: 'confirm', undo: 'cancel', branch: name },
        );
      }
      return group;
    })
    .build() as SagaDefinition<Input, Input & TccTries>;
}
