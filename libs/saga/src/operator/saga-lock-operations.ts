import { NotFoundError, type Operator, type PgDatabase } from '@waybill/kernel';
import { assertOperator } from '@waybill/kernel/internal';
import { heldEntities, type SagaLock, type SagaLockFilter } from '../participant/held-entities.js';
import { unlockEntity } from '../statements.generated.js';

/** What operators do about entities that are held for sagas, in the database of the participant. */
export class SagaLockOperations {
  constructor(private readonly database: PgDatabase) {}

  /** What is held, the oldest first. @throws ConfigurationError */
  list(filter: SagaLockFilter = {}): Promise<SagaLock[]> {
    return heldEntities(this.database.session, filter);
  }

  /**
   * Lets an entity go that a saga holds, whether that has ended or not. Commands of other sagas that wait for it are sent again
   * by the participant, within `sagas.locks.sweepMs`. Who did it is kept, with the login.
   *
   * @returns what was held
   * @throws NotFoundError when nothing holds it
   * @throws ConfigurationError when nobody says who acts
   */
  async unlock(entity: string, operator: Operator): Promise<Omit<SagaLock, 'entity'>> {
    assertOperator(operator, 'entity');
    const { by, reason = null } = operator;
    const [row] = await this.database.session.run(unlockEntity, entity, by, reason);
    if (row === undefined) throw new NotFoundError(`lock on entity ${entity}`);
    return row;
  }
}
