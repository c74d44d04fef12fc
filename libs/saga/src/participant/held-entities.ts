import { ConfigurationError, resolveOptions, type SqlSession, wholeNumber } from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';
import { listLocks } from '../statements.generated.js';

/** An entity that is held for a saga. */
export interface SagaLock {
  readonly entity: string;
  readonly sagaId: string;
  readonly branch: string;
  readonly lockedAt: Date;
  /** Commands that wait for it. */
  readonly waiting: number;
}

/** Filter of held entities. */
export interface SagaLockFilter {
  readonly entity?: string;
  /** Only those held for at least this long, in milliseconds. */
  readonly olderThanMs?: number;
  /** Default 100, up to 100,000. */
  readonly limit?: number;
}

const LIST = {
  olderThanMs: wholeNumber({ default: 0, min: 0, max: 3_650 * 86_400_000 }),
  limit: wholeNumber({ default: 100, min: 1, max: 100_000 }),
};

/** Longest name, in characters: it is part of an index. */
const ENTITY_MAX = 255;
/** Characters that PostgreSQL cannot store, or would change. */
const NO_TEXT = /[\0\p{Cs}]/u;

/** @throws ConfigurationError */
export function assertEntity(entity: string): void {
  const usable =
    typeof entity === 'string' && entity !== '' && entity.length <= ENTITY_MAX && !NO_TEXT.test(entity);
  if (usable) return;
  throw new ConfigurationError('The entity cannot be held', [
    `its name must be a string of 1 to ${ENTITY_MAX} characters without a null character or half of a surrogate pair, got ${show(entity)}`,
  ]);
}

/** Entities held for sagas in a participant's database, the oldest first. @throws ConfigurationError */
export async function heldEntities(
  session: SqlSession,
  { entity, ...given }: SagaLockFilter = {},
): Promise<SagaLock[]> {
  const { olderThanMs, limit } = resolveOptions("list of sagas' locks", LIST, given);
  return session.run(listLocks, entity ?? null, olderThanMs, limit);
}
