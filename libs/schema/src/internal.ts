/** Exports for Waybill's own packages only. They may change in any release: applications import `index`. */

export { schemaVersion } from './migrate.js';
export { listRings } from './statements.generated.js';
export { assertRowsVisible, findRowSecurity, listed, ROW_SECURITY_REMEDY } from './row-security.js';
export { type AclEntry, assertMayRelay, listRestrictions } from './roles/acl.js';
export { assertRole } from './roles/role.js';
export { rightsOf } from './roles/rights.js';
export { compareWithRole, type RoleQuestion } from './roles/role-check.js';
