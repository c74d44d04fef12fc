import { userInfo } from 'node:os';
import type { Operator } from '@waybill/kernel';
import type { Command } from 'commander';

/** Options of an operator's decision. */
export interface Decision {
  readonly by?: string;
  readonly because?: string;
  readonly yes?: boolean;
}

/** Adds the options of a decision to a command. */
export function decided(command: Command): Command {
  return command
    .option('--by <name>', 'name of the operator (default: the user of this machine)')
    .option('--because <reason>', 'why')
    .option('--yes', 'applies the change; without it, nothing is changed');
}

/** The operator and the reason, from the options. */
export function operatorOf({ by, because }: Decision): Operator {
  return { by: by ?? userInfo().username, ...(because === undefined ? {} : { reason: because }) };
}
