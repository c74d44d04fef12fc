import { type SqlSession } from '@waybill/kernel';
import { MacKeys } from '@waybill/kernel/internal';
import { addGuardKey, currentGuardKey, readGuardKey } from '../statements.generated.js';

/** That work is done, and what came of it, as a store outside of the service's database keeps it. */
export interface LeaseMark {
  /** Where it stands in the store. */
  readonly key: string;
  readonly fence: string;
  readonly fingerprint: string | null;
  readonly result: string | null;
}

const STATEMENTS = { current: currentGuardKey, add: addGuardKey, read: readGuardKey };
/** A new key is made after this many milliseconds: 30 days. */
const KEY_MAX_AGE_MS = 30 * 86_400_000;

/**
 * Seals what a service keeps in a store that others can write to, such as Redis: a mark carries a MAC over its name, fence,
 * fingerprint and result by a key that is in the service's database, and one without it is not the service's own.
 */
export class LeaseSeal {
  readonly #keys: MacKeys;

  /**
   * @param session of the service's database, outside any transaction
   * @param service whose keys; every process that shares the leases names the same
   */
  constructor(
    private readonly session: SqlSession,
    service: string,
  ) {
    this.#keys = new MacKeys(STATEMENTS, service, KEY_MAX_AGE_MS);
  }

  /** Has a key at hand, so that the end of the work does not depend on the database. @throws DatabaseUnavailableError */
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
