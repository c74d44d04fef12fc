import { type Fixture } from './fixture.js';

/** Ends the lease of an external effect's last attempt, as time does. */
export async function endEffectLease(fixture: Fixture, key: string): Promise<void> {
  const { rowCount } = await fixture.database.pool.query(
    'update waybill.external_effect set lease_until = clock_timestamp() where key = $1',
    [key],
  );
  if (rowCount === 0) throw new Error(`${key} was never attempted`);
}
