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

/** What a saga is found by behind a transition. */
export interface FoundBy {
  /** Stands for its attributes in its content; undefined while it has never had any. */
  readonly mark: string | undefined;
  /** What is to be written; undefined when they are as they were. */
  readonly changed: readonly StoredAttribute[] | undefined;
}

/**
 * Keeps what the sagas of a service are found by, in the transitions that change it. A function that makes no usable
 * attributes never costs a saga anything: they stay as they were.
 */
export class SagaAttributes {
  readonly #toldAt = new WeakMap<SagaDefinition, number>();

  constructor(
    private readonly replyTopic: string,
    private readonly logger: Logger,
  ) {}

  /** @param before the mark of what it was found by so far */
  of(definition: SagaDefinition, instance: SagaInstance, before: string | undefined): FoundBy {
    const same = { mark: before, changed: undefined };
    if (definition.attributes === undefined) return same;
    try {
      // A copy: what the function does to it is not the saga's.
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
      `the attributes of saga ${type} ${id} stay as they were: ${why}. Mend the function that version ${version} gives to ` +
        'attributes(); this is said once a minute',
    );
  }
}

/** Undefined for none, as of a saga that never had any. */
function markOf(attributes: readonly StoredAttribute[]): string | undefined {
  if (attributes.length === 0) return undefined;
  return createHash('sha256').update(JSON.stringify(attributes)).digest('base64url').slice(0, 16);
}
