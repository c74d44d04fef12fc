import { NotFoundError, type Operator, type PgDatabase } from '@waybill/kernel';
import { assertOperator } from '@waybill/kernel/internal';
import { heldEntities, type SagaLock, type SagaLockFilter } from '../participant/held-entities.js';
import { unlockEntity } from '../statements.generated.js';

/** Operations on entities that are held for sagas, in the database of the participant. */
export class SagaLockOperations {
  constructor(private readonly database: PgDatabase) {}

  /** Held entities, the oldest first. @throws ConfigurationError */
  list(filter: SagaLockFilter = {}): Promise<SagaLock[]> {
    return heldEntities(this.database.session, filter);
  }

  /**
   * Releases an entity that a saga holds, whether or not the saga has ended. Commands of other sagas that wait for it are sent again
   * by the participant, within `sagas.locks.sweepMs`. The operator is recorded, with the login.
   *
   * @returns what was held
   * @throws NotFoundError when it is not held
   * @throws ConfigurationError when the operator is not named
   */
  async unlock(entity: string, operator: Operator): Promise<Omit<SagaLock, 'entity'>> {
    assertOperator(operator, 'entity');
    const { by, reason = null } = operator;
    const [row] = await this.database.session.run(unlockEntity, entity, by, reason);
    if (row === undefined) throw new NotFoundError(`lock on entity ${entity}`);
    return row;
  }
}
