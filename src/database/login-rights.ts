import type { ServiceName } from '../contracts/services.js';
import { COMMAND_TOPICS } from '../contracts/commands.js';
import { TOPICS } from '../contracts/topics.js';
import type { LoginName, LoginRights } from './logins.js';

/** Rights in a service's own database: there it relays, consumes and runs its sagas without a restriction. */
export const SERVICE_RIGHTS: LoginRights = { roles: ['service'], part: 'service' };

/** Rights of the operator in the database of a service. */
export const OPERATOR_RIGHTS: LoginRights = { roles: ['operator'], part: 'service' };

/**
 * Rights on the bus. A service appends from its own outbox, only to the topics that it publishes to, and reads what it
 * handles, in its own group. Every participant may append replies; a restricted login may append for one service only.
 */
export const BUS_RIGHTS: Readonly<Record<LoginName, LoginRights>> = {
  orders: {
    roles: ['service'],
    part: 'bus',
    topics: [...Object.keys(TOPICS), ...COMMAND_TOPICS],
    consume: ['orders.saga-replies'],
    groups: ['orders'],
  },
  inventory: restrictedTo('inventory', ['inventory.*', 'orders.confirmed']),
  payments: restrictedTo('payments', ['payments.*']),
  operator: { roles: ['operator'], part: 'bus' },
};

/** A service that publishes only replies. */
function restrictedTo(service: ServiceName, consume: readonly string[]): LoginRights {
  return { roles: ['service'], part: 'bus', topics: [], consume, groups: [service] };
}
