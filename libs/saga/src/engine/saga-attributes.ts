import { createHash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { describeError, type Logger, type SqlSession } from '@waybill/kernel';
import { runAhead } from '@waybill/kernel/internal';
import { type StoredAttribute, storedAttributes } from '../definition/attributes.js';
import type { SagaDefinition } from '../definition/saga-definition.js';
import type { SagaInstance } from '../machine/saga-instance.js';
import { saveSagaAttributes } from '../statements.generated.js';

/** Minimum time between two log lines about bad attributes of a definition, in milliseconds. */
const QUIET_MS = 60_000;

/** The attributes of a saga after a transition. */
export interface FoundBy {
  /** A digest of its attributes, stored in its content; undefined until it first has any. */
  readonly mark: string | undefined;
  /** The attributes to write; undefined when unchanged. */
  readonly changed: readonly StoredAttribute[] | undefined;
}

/**
 * Updates the attributes of a service's sagas in the transitions that change them. A function that returns no usable
 * attributes never harms a saga: its attributes stay unchanged.
 */
export class SagaAttributes {
  readonly #toldAt = new WeakMap<SagaDefinition, number>();

  constructor(
    private readonly replyTopic: string,
    private readonly logger: Logger,
  ) {}

  /** @param before the digest of its attributes so far */
  of(definition: SagaDefinition, instance: SagaInstance, before: string | undefined): FoundBy {
    const same = { mark: before, changed: undefined };
    if (definition.attributes === undefined) return same;
    try {
      // A copy, so that the function cannot change the saga.
      const { attributes, problems } = storedAttributes(
        definition.attributes(structuredClone(instance.data)),
      );
      if (problems.length > 0) {
        this.#tell(definition, instance, problems.join('; '));
        return same;
      }
      const mark = markOf(attributes);
      return mark === before ? same : { mark, changed: attributes };
    } catch (error) {
      this.#tell(definition, instance, describeError(error));
      return same;
    }
  }

  async save(session: SqlSession, sagaId: string, { changed }: FoundBy): Promise<void> {
    if (changed !== undefined)
      await runAhead(session, saveSagaAttributes, sagaId, this.replyTopic, JSON.stringify(changed));
  }

  #tell(definition: SagaDefinition, { id }: SagaInstance, why: string): void {
    const now = performance.now();
    if (now - (this.#toldAt.get(definition) ?? -Infinity) < QUIET_MS) return;
    this.#toldAt.set(definition, now);
    const { type, version } = definition;
    this.logger.warn(
      `the attributes of saga ${type} ${id} are unchanged: ${why}. Correct the function that version ${version} passes to ` +
        'attributes(); logged at most once a minute',
    );
  }
}

/** Undefined for none, as of a saga that never had any. */
function markOf(attributes: readonly StoredAttribute[]): string | undefined {
  if (attributes.length === 0) return undefined;
  return createHash('sha256').update(JSON.stringify(attributes)).digest('base64url').slice(0, 16);
}
