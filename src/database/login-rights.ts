import type { LoginName, LoginRights } from './logins.js';

/**
 * What everybody may do where the log is. Services: read what they handle, in their own group, and answer. orders relays for all,
 * and so sees every message; the others see their own.
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

/** What payments may do in its own database. */
export const LEDGER_RIGHTS: Partial<Record<LoginName, LoginRights>> = {
  payments: { roles: ['participant'] },
};
