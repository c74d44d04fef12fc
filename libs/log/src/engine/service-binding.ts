import { invariant, type SqlSession } from '@waybill/kernel';
import { bindService as bindServiceStatement } from '../statements.generated.js';

/** A service, as it is bound to a bus. */
export interface ServiceBinding {
  /** A UUID, made once in the service's database. */
  readonly serviceId: string;
  /** The epoch of the bus's log in which all is there that the service has handed over. */
  readonly logEpoch: number;
}

/**
 * Binds a service to a bus at its first contact.
 * @param session of the service's database
 * @throws BusMismatchError when it is bound to another bus
 */
export async function bindService(
  session: SqlSession,
  busId: string,
  logEpoch: number,
): Promise<ServiceBinding> {
  const [row] = await session.run(bindServiceStatement, busId, logEpoch);
  invariant(row !== undefined, 'service_bind returned no row');
  return row;
}
