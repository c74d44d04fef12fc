/**
 * Where the databases of a test run are, and how they are reached, by variables that scripts/matrix.mjs sets:
 *
 * - WAYBILL_TEST_BUS: `same` (default), each service's own database; `database`, another one of the same server;
 *   `cluster`, one of a second embedded server.
 * - WAYBILL_TEST_BUS_POSTGRES: major version of that second server; default as for every embedded server.
 * - WAYBILL_TEST_POOLER: `direct` (default), or `pgbouncer`, in transaction mode before every server.
 *
 * They are read only here: the fixtures ask test/support/places.ts, which knows what has been set up.
 */
const BUSES = ['same', 'database', 'cluster'];
const POOLERS = ['direct', 'pgbouncer'];

/** @returns {{ bus: string, busVersion: number | undefined, hasPoolers: boolean }} @throws Error when a setting is not known */
export function readPlacement(env = process.env) {
  const bus = choice(env, 'WAYBILL_TEST_BUS', BUSES);
  const version = env.WAYBILL_TEST_BUS_POSTGRES ?? '';
  if (version !== '' && bus !== 'cluster')
    throw new Error(
      'WAYBILL_TEST_BUS_POSTGRES needs WAYBILL_TEST_BUS=cluster: only then the bus has its server',
    );
  const hasPoolers = choice(env, 'WAYBILL_TEST_POOLER', POOLERS) === 'pgbouncer';
  return { bus, busVersion: version === '' ? undefined : Number(version), hasPoolers };
}

function choice(env, name, known) {
  const value = env[name] || known[0];
  if (!known.includes(value)) throw new Error(`${name}=${value} is not one of ${known.join(', ')}`);
  return value;
}
