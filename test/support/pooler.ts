import { poolerIsAvailable } from '../setup/pooler.mjs';
import { describeWhere } from './describe-where.js';

export { type Pooler, startPooler } from '../setup/pooler.mjs';

/** A suite that needs PgBouncer. Without one it is skipped with a message; in CI it fails. */
export function describeWithPooler(name: string, suite: () => void): void {
  describeWhere(poolerIsAvailable(), name, 'pgbouncer on the PATH (Debian has it in /usr/sbin)', suite);
}
