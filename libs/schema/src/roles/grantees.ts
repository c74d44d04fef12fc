import type { Role } from './role.js';

/** The grantee of a right. */
export type Grantee = Role;

export const ALL: readonly Grantee[] = ['publisher', 'service', 'monitor', 'operator'];
export const NOT_PUBLISHER: readonly Grantee[] = ['service', 'monitor', 'operator'];
export const PUBLISHING: readonly Grantee[] = ['publisher', 'service'];
export const SERVICE: readonly Grantee[] = ['service'];
export const SERVICE_OR_OPERATOR: readonly Grantee[] = ['service', 'operator'];
export const OPERATOR: readonly Grantee[] = ['operator'];
/** Reserved for the owner and for our other functions. */
export const NONE: readonly Grantee[] = [];
