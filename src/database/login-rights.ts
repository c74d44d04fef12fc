import type { LoginName, LoginRights } from './logins.js';

/**
 * Rights of each login where the log is. Services read what they handle, in their own group, and reply. orders relays
 * for all, and so sees every message; the others see only their own.
 */
export const BUS_RIGHTS: Readonly<Record<LoginName, LoginRights>> = {
  orders: { roles: ['service'] },
  inventory: {
    roles: ['service'],
    topics: [],
    consume: ['inventory.*', 'orders.confirmed'],
    groups: ['inventory'],
  },
  payments: { roles: ['service'], part: 'bus', topics: [], consume: ['payments.*'], groups: ['payments'] },
  operator: { roles: ['operator'] },
};

/** Rights of payments in its own database. */
export const LEDGER_RIGHTS: Partial<Record<LoginName, LoginRights>> = {
  payments: { roles: ['participant'] },
};
