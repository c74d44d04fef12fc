import type { Machine } from '../runner/machine.js';
import { laneMachine } from './lane/lane-machine.js';
import { membershipMachine } from './membership/membership-machine.js';
import { relayMachine } from './relay/relay-machine.js';
import { sagaMachine } from './saga/saga-machine.js';
import { timersMachine } from './timers/timers-machine.js';

/** The machines, by name. */
export const MACHINES: ReadonlyMap<string, Machine> = new Map([
  ['lane', laneMachine],
  ['saga', sagaMachine],
  ['timers', timersMachine],
  ['membership', membershipMachine],
  ['relay', relayMachine],
]);
