import { ConfigurationError } from './errors/usage-errors.js';

/** Who acts, and why: kept for every decision of an operator. */
export interface Operator {
  /** A person or a program. Not empty. */
  readonly by: string;
  readonly reason?: string;
}

/** @throws ConfigurationError when nobody says who acts */
export function assertOperator({ by }: Operator, target: string): void {
  if (typeof by !== 'string' || by.trim() === '')
    throw new ConfigurationError(`The ${target} was left as it was`, ['by must say who acts']);
}
