import { ConfigurationError, isId, type PgDatabase, resolveOptions, wholeNumber } from '@waybill/kernel';
import { isPlainObject, show, unknownName } from '@waybill/kernel/internal';
import { type AttributeValue, type StoredAttribute, storedAttributes } from '../definition/attributes.js';
import type { SagaContents } from '../engine/saga-contents.js';
import { restoreInstance } from '../engine/saga-store.js';
import { type SagaInstance, type SagaState, STATE_NUMBER, stateOf } from '../machine/saga-instance.js';
import { OPEN } from '../machine/transition-draft.js';
import { findSagas, listSagas, rarestAttribute, readSagaContents } from '../statements.generated.js';

/** A query of sagas: all given conditions must hold. */
export interface SagaQuery {
  /** Default: active sagas. */
  readonly states?: readonly SagaState[];
  readonly type?: string;
  readonly keyPrefix?: string;
  /** Minimum age, in milliseconds. */
  readonly olderThanMs?: number;
  /** Sagas with all of these attributes. A number and the string of its digits match each other. */
  readonly where?: Readonly<Record<string, AttributeValue>>;
  /** Only active sagas at this step: it, or one of its items, is running, waits or is stuck. */
  readonly step?: string;
}

/** Options of a list of sagas. */
export interface SagaFilter extends SagaQuery {
  /** Only those after this id: ids sort by start time. */
  readonly after?: string;
  /** Default 100, up to 100,000. */
  readonly limit?: number;
}

/** A saga in a list. */
export interface SagaSummary {
  readonly id: string;
  readonly type: string;
  readonly version: number;
  readonly key: string;
  readonly state: SagaState;
  /** Increases with every transition; orders may be bound to one. */
  readonly revision: number;
  readonly startedAt: Date;
  readonly changedAt: Date;
  readonly reason: string | null;
  readonly parentId: string | null;
}

/** A saga that was found, with its content; without it when it cannot be read or the saga has ended since. */
export interface FoundSaga {
  readonly summary: SagaSummary;
  readonly instance: SagaInstance | undefined;
  readonly isReadable: boolean;
}

/** A validated query. */
interface Checked extends Omit<SagaQuery, 'where'> {
  readonly states: readonly SagaState[];
  readonly olderThanMs: number;
  readonly where: readonly StoredAttribute[];
}

export const LIMIT = wholeNumber({ default: 100, min: 1, max: 100_000 });
const NAMES = ['states', 'type', 'keyPrefix', 'olderThanMs', 'where', 'step', 'after', 'limit'];
const OLDER = wholeNumber({ default: 0, min: 0, max: 3_650 * 86_400_000 });
export const UNDER_WAY: readonly SagaState[] = ['RUNNING', 'COMPENSATING', 'STUCK'];
/** Sagas that are read at a time when their contents are checked. */
const PAGE = 100;

/** Finds sagas for operators. */
export class SagaSearch {
  constructor(
    private readonly database: PgDatabase,
    private readonly contents: SagaContents,
  ) {}

  /** Sagas in the order of their start. @throws ConfigurationError */
  async list({ after, limit: most, ...query }: SagaFilter): Promise<SagaSummary[]> {
    const { limit } = resolveOptions('list of sagas', { limit: LIMIT }, { limit: most });
    const checked = checkedQuery(query, after);
    if (checked.step === undefined) return this.#page(checked, after, limit);
    const found: SagaSummary[] = [];
    for await (const page of this.#pages(checked, after, PAGE)) {
      for (const { summary, instance } of page)
        if (instance !== undefined && openStepsOf(instance, checked.step).length > 0) found.push(summary);
      if (found.length >= limit) break;
    }
    return found.slice(0, limit);
  }

  /** Pages of sagas with their contents, whatever step they are at. @throws ConfigurationError */
  pages(query: SagaQuery, after?: string, size = PAGE): AsyncGenerator<readonly FoundSaga[]> {
    return this.#pages(checkedQuery(query, after), after, size);
  }

  async *#pages(
    checked: Checked,
    after: string | undefined,
    size: number,
  ): AsyncGenerator<readonly FoundSaga[]> {
    for (let from = after; ;) {
      const page = await this.#page(checked, from, size);
      from = page.at(-1)?.id;
      if (from === undefined) return;
      yield await this.#opened(page);
      if (page.length < size) return;
    }
  }

  async #page(checked: Checked, after: string | undefined, limit: number): Promise<SagaSummary[]> {
    const { states, type, keyPrefix, olderThanMs, where } = checked;
    const { session } = this.database;
    const given = [
      states.map((state) => STATE_NUMBER[state]),
      type ?? null,
      keyPrefix ?? null,
      olderThanMs,
      after ?? null,
      limit,
    ] as const;
    if (where.length === 0) return (await session.run(listSagas, ...given)).map(summaryOf);
    const [first, others] = await this.#rarestFirst(where);
    const names = others.map(({ name }) => name);
    const values = others.map(({ value }) => value);
    return (await session.run(findSagas, ...given, first.name, first.value, names, values)).map(summaryOf);
  }

  /** The attribute to search by: the one with the fewest sagas. */
  async #rarestFirst(
    where: readonly StoredAttribute[],
  ): Promise<readonly [StoredAttribute, readonly StoredAttribute[]]> {
    const [first, ...others] = where as [StoredAttribute, ...StoredAttribute[]];
    if (others.length === 0) return [first, others];
    const names = where.map(({ name }) => name);
    const values = where.map(({ value }) => value);
    const [row] = await this.database.session.run(rarestAttribute, names, values);
    const rarest = where[(row?.place ?? 1) - 1] ?? first;
    return [rarest, where.filter((each) => each !== rarest)];
  }

  async #opened(page: readonly SagaSummary[]): Promise<FoundSaga[]> {
    const { session } = this.database;
    const rows = await session.run(
      readSagaContents,
      page.map(({ id }) => id),
    );
    const contents = new Map(rows.map(({ id, content }) => [id, content]));
    return Promise.all(
      page.map(async (summary) => {
        const stored = contents.get(summary.id);
        if (stored === undefined) return { summary, instance: undefined, isReadable: true };
        const json = await this.contents.open(session, summary.id, stored).catch(() => undefined);
        const row = { ...summary, state: STATE_NUMBER[summary.state], startedAtMs: +summary.startedAt };
        const instance = json === undefined ? undefined : restoreInstance(row, json);
        // One bad row must not fail the whole search.
        if (!isPlainObject(instance?.steps)) return { summary, instance: undefined, isReadable: false };
        return { summary, instance, isReadable: true };
      }),
    );
  }
}

/** The open steps of a saga: that of a name and its items, or all without a name. */
export function openStepsOf(instance: SagaInstance, name?: string): string[] {
  return Object.entries(instance.steps).flatMap(([step, { status }]) =>
    OPEN.has(status) && (name === undefined || step === name || step.startsWith(`${name}[`)) ? step : [],
  );
}

/** @throws ConfigurationError */
export function checkedQuery(query: SagaQuery, after?: string): Checked {
  const { states = UNDER_WAY, type, keyPrefix, where = {}, step, olderThanMs = OLDER.default } = query;
  const known = Object.keys(STATE_NUMBER).join(', ');
  const unknown = Array.isArray(states)
    ? states.filter((state) => !Object.hasOwn(STATE_NUMBER, state as string))
    : [states];
  const problems = unknown.map((state) => `states must be an array of ${known}, got ${show(state)}`);
  for (const name of Object.keys(query)) if (!NAMES.includes(name)) problems.push(unknownName(name, NAMES));
  const age = OLDER.check(olderThanMs);
  if (age !== undefined) problems.push(`olderThanMs ${age}`);
  for (const [name, text] of Object.entries({ type, keyPrefix, step }))
    if (text !== undefined && typeof text !== 'string') problems.push(`${name} must be a string`);
  const { attributes, problems: ofWhere } = storedAttributes(where);
  problems.push(...ofWhere.map((problem) => `where: ${problem}`));
  if (Object.values(Object(where) as object).includes(undefined))
    problems.push('where: an attribute that is undefined would be left out');
  if (after !== undefined && !isId(after)) problems.push('after must be the id of a saga');
  if (problems.length > 0) throw new ConfigurationError('Sagas cannot be listed', problems);
  return {
    states,
    olderThanMs,
    where: attributes,
    ...(type !== undefined && { type }),
    ...(keyPrefix !== undefined && { keyPrefix }),
    ...(step !== undefined && { step }),
  };
}

interface SummaryRow extends Omit<SagaSummary, 'state'> {
  readonly state: number;
}

export function summaryOf(row: SummaryRow): SagaSummary {
  const { id, type, version, key, revision, startedAt, changedAt, reason, parentId } = row;
  return {
    id,
    type,
    version,
    key,
    state: stateOf(row.state),
    revision,
    startedAt,
    changedAt,
    reason,
    parentId,
  };
}
