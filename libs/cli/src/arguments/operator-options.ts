import { userInfo } from 'node:os';
import type { Operator } from '@waybill/kernel';
import type { Command } from 'commander';

/** What is said with an operator's decision. */
export interface Decision {
  readonly by?: string;
  readonly because?: string;
  readonly yes?: boolean;
}

/** Adds the options of a decision to a command. */
export function decided(command: Command): Command {
  return command
    .option('--by <name>', 'who decides (default: the user of this machine)')
    .option('--because <reason>', 'why')
    .option('--yes', 'does it; without, nothing is changed');
}

/** Who decides, as the options say. */
export function operatorOf({ by, because }: Decision): Operator {
  return { by: by ?? userInfo().username, ...(because === undefined ? {} : { reason: because }) };
}
