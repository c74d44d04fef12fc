// Made by scripts/build-sql.mjs from ../sql; do not edit.
export * from './statements-publish.generated.js';
export * from './statements-quarantine.generated.js';
export * from './statements-relay.generated.js';
export * from './statements-transactions.generated.js';
