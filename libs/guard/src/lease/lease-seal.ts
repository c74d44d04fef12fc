import { type SqlSession } from '@waybill/kernel';
import { MacKeys } from '@waybill/kernel/internal';
import { addGuardKey, currentGuardKey, readGuardKey } from '../statements.generated.js';

/** A mark of completed work and its result, in a store outside the service's database. */
export interface LeaseMark {
  /** Its key in the store. */
  readonly key: string;
  readonly fence: string;
  readonly fingerprint: string | null;
  readonly result: string | null;
}

const STATEMENTS = { current: currentGuardKey, add: addGuardKey, read: readGuardKey };
/** Age at which a new key is made, in milliseconds: 30 days. */
const KEY_MAX_AGE_MS = 30 * 86_400_000;

/**
 * Seals marks that a service keeps in a store that others can write to, e.g. Redis: a mark carries a MAC over its name,
 * fence, fingerprint and result with a key in the service's database; a mark without it was not written by the service.
 */
export class LeaseSeal {
  readonly #keys: MacKeys;

  /**
   * @param session of the service's database, outside any transaction
   * @param service the owner of the keys; all processes that share the leases use the same
   */
  constructor(
    private readonly session: SqlSession,
    service: string,
  ) {
    this.#keys = new MacKeys(STATEMENTS, service, KEY_MAX_AGE_MS);
  }

  /**
   * Loads a key in advance, so that the end of the work does not depend on the database. @throws
   * DatabaseUnavailableError
   */
  async prepare(): Promise<void> {
    await this.#keys.sign(this.session, '');
  }

  sign(mark: LeaseMark): Promise<string> {
    return this.#keys.sign(this.session, textOf(mark));
  }

  isGenuine(mark: LeaseMark, mac: string | null): Promise<boolean> {
    return this.#keys.verify(this.session, mac, textOf(mark));
  }
}

function textOf({ key, fence, fingerprint, result }: LeaseMark): string {
  return JSON.stringify(['lease', key, fence, fingerprint, result]);
}
