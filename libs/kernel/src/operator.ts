import { ConfigurationError } from './errors/usage-errors.js';

/** Who acts, and why: stored with every decision of an operator. */
export interface Operator {
  /** A person or a program. Not empty. */
  readonly by: string;
  readonly reason?: string;
}

/** @throws ConfigurationError when `by` is missing */
export function assertOperator({ by }: Operator, target: string): void {
  if (typeof by !== 'string' || by.trim() === '')
    throw new ConfigurationError(`The ${target} was not changed`, ['by must name who acts']);
}
