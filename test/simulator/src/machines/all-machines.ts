import type { Machine } from '../runner/machine.js';
import { relayMachine } from './relay/relay-machine.js';
import { sagaMachine } from './saga/saga-machine.js';

/** The machines, by name. */
export const MACHINES: ReadonlyMap<string, Machine> = new Map([
  ['saga', sagaMachine],
  ['relay', relayMachine],
]);
