import { invariant, type SqlSession } from '@waybill/kernel';
import { runAhead } from '@waybill/kernel/internal';
import type { SagaContents } from './saga-contents.js';
import type { SagaData } from '../definition/saga-definition.js';
import type { SagaEvent, SagaOutput } from '../machine/saga-event.js';
import { isEnd, type SagaInstance, STATE_NUMBER, stateOf } from '../machine/saga-instance.js';
import { claimDueSaga, endSaga, loadSaga, saveSaga, startSaga } from '../statements.generated.js';

/** The saga that waits for a saga's end, and at which of its steps. */
export interface SagaParent {
  readonly id: string;
  readonly step: string;
}

/** A active saga, locked by the current transaction. */
export interface StoredSaga {
  readonly type: string;
  readonly version: number;
  readonly revision: number;
  readonly parent: SagaParent | null;
  /** The fingerprint lines of the definition that it began with; null when not stored. */
  readonly fingerprint: string | null;
  readonly instance: SagaInstance;
  /** The trace in which it was started; undefined without one. */
  readonly startedIn: string | undefined;
  /** The subject of its data; undefined when unknown. */
  readonly subject: string | undefined;
  /** The digest of its attributes; undefined until it has any. */
  readonly attributes: string | undefined;
  /** Milliseconds since its start, by the database's clock. */
  readonly nowMs: number;
}

/** The record of a transition, for the timeline and for replaying it. */
export interface TransitionRecord {
  readonly nowMs: number;
  /** The events, in order: local actions report within their transition. */
  readonly events: readonly SagaEvent[];
  readonly outputs: readonly SagaOutput[];
  /** The operator who ordered it. */
  readonly by?: string;
}

/** The values a saga is started with. */
export interface NewSaga {
  readonly key: string;
  readonly data: SagaData;
  readonly parent: SagaParent | null;
  readonly deadlineMs?: number | null | undefined;
  /** The subject of its data. */
  readonly subject?: string | undefined;
}

/** The part of an instance that is stored in its content. */
type Content = Omit<SagaInstance, 'id' | 'key' | 'state' | 'reason' | 'startedAtMs'>;

/** What its content stores in addition to the instance. */
interface ContentExtras {
  readonly startedIn?: string | undefined;
  readonly subject?: string | undefined;
  readonly attributes?: string | undefined;
}

/** The values of a new saga's row. */
export interface SagaToStart {
  readonly instance: SagaInstance;
  readonly type: string;
  readonly version: number;
  readonly replyTopic: string;
  readonly fingerprint: string;
  readonly parent: SagaParent | null;
  readonly startedIn: string | undefined;
  readonly subject: string | undefined;
  readonly attributes: string | undefined;
  readonly record: TransitionRecord;
}

/** Inserts a saga; when one of its type and key exists, returns that one and writes nothing. */
export async function insertSaga(
  session: SqlSession,
  contents: SagaContents,
  { instance, type, version, replyTopic, fingerprint, parent, record, ...extras }: SagaToStart,
): Promise<{ readonly id: string; readonly created: boolean; readonly startedAtMs: number }> {
  const key = await contents.keyOf(session, extras.subject);
  const [row] = await session.run(
    startSaga,
    instance.id,
    type,
    version,
    instance.key,
    replyTopic,
    STATE_NUMBER[instance.state],
    wakeMs(instance),
    parent?.id ?? null,
    parent?.step ?? null,
    instance.reason,
    fingerprint,
    contents.seal(instance.id, JSON.stringify(contentOf(instance, extras)), key),
    contents.seal(instance.id, JSON.stringify(record), key),
  );
  invariant(row !== undefined, `saga ${type} ${instance.key} was neither found nor inserted`);
  return row;
}

/** Reads a saga for a transition; undefined when it has ended or never existed. */
export async function lockSaga(
  session: SqlSession,
  contents: SagaContents,
  id: string,
): Promise<StoredSaga | undefined> {
  const [row] = await session.run(loadSaga, id);
  return row && stored(session, contents, row);
}

/**
 * Reads a saga for which something is due; undefined when all such sagas are locked by others.
 * @param onClaimed called with its id before its content is read
 */
export async function lockDueSaga(
  session: SqlSession,
  contents: SagaContents,
  replyTopic: string,
  onClaimed: (id: string) => void,
): Promise<StoredSaga | undefined> {
  const [row] = await session.run(claimDueSaga, replyTopic);
  if (row === undefined) return undefined;
  onClaimed(row.id);
  return stored(session, contents, row);
}

/**
 * Writes the new state of a saga. One that has ended moves out of the active sagas; a child stays until its parent has ended.
 *
 * @param before with its current attributes
 * @param exactly whether its next wake-up must be exact; otherwise it may stay too early, which costs one extra look
 */
export async function saveTransition(
  session: SqlSession,
  contents: SagaContents,
  before: StoredSaga,
  instance: SagaInstance,
  record: TransitionRecord,
  exactly: boolean,
): Promise<void> {
  const { id } = instance;
  const key = await contents.keyOf(session, before.subject);
  const content = contents.seal(id, JSON.stringify(contentOf(instance, before)), key);
  const transition = contents.seal(id, JSON.stringify(record), key);
  const { revision } = before;
  const state = STATE_NUMBER[instance.state];
  const ended = isEnd(instance.state);
  const { reason } = instance;
  if (ended && before.parent === null)
    await runAhead(session, endSaga, id, revision, state, reason, content, transition);
  else
    await runAhead(
      session,
      saveSaga,
      id,
      revision,
      state,
      wakeMs(instance),
      exactly || ended,
      reason,
      content,
      transition,
    );
}

/** When something is due next, in milliseconds since the saga's start. */
export function wakeMs({ state, steps, deadlineMs }: SagaInstance): number | null {
  if (isEnd(state)) return null;
  const times = Object.values(steps).flatMap(({ dueMs, remind }) =>
    [dueMs ?? [], remind?.dueMs ?? []].flat(),
  );
  if (deadlineMs !== null) times.push(deadlineMs);
  return times.length === 0 ? null : Math.ceil(Math.min(...times));
}

interface SagaRow {
  readonly id: string;
  readonly type: string;
  readonly version: number;
  readonly key: string;
  readonly state: number;
  readonly revision: number;
  readonly parentId: string | null;
  readonly parentStep: string | null;
  readonly reason: string | null;
  readonly content: string;
  readonly nowMs: number;
  readonly startedAtMs: number;
  readonly fingerprint: string | null;
}

async function stored(session: SqlSession, contents: SagaContents, row: SagaRow): Promise<StoredSaga> {
  const content = await contents.open(session, row.id, row.content);
  const { parentId, parentStep, type, version, revision, nowMs, fingerprint } = row;
  const instance: SagaInstance & ContentExtras = restoreInstance(row, content);
  const { startedIn, subject, attributes } = instance;
  const parent = parentId === null ? null : { id: parentId, step: parentStep ?? '' };
  return { type, version, revision, nowMs, parent, fingerprint, instance, startedIn, subject, attributes };
}

/** The columns of a saga's row other than its content. */
export interface InstanceRow {
  readonly id: string;
  readonly key: string;
  readonly state: number;
  readonly reason: string | null;
  readonly startedAtMs: number;
}

/** The instance in a row whose content has been decrypted. */
export function restoreInstance(
  { id, key, state, reason, startedAtMs }: InstanceRow,
  content: string,
): SagaInstance {
  return { id, key, state: stateOf(state), reason, startedAtMs, ...(JSON.parse(content) as Content) };
}

/** Placeholder for content that cannot be read. */
export const NO_CONTENT = JSON.stringify({
  direction: 'forward',
  data: {},
  steps: {},
  signals: {},
  signalIds: [],
  items: {},
  deadlineMs: null,
  cancelled: false,
  cause: null,
  patches: [],
} satisfies Content);

/** The subject of a saga's data, from its decrypted content; null when unknown. */
export function subjectOf(content: string): string | null {
  return (JSON.parse(content) as ContentExtras).subject ?? null;
}

/** Whether a saga is unchanged. */
export function isSame(before: SagaInstance, after: SagaInstance): boolean {
  if (before === after) return true;
  return (
    before.state === after.state &&
    before.reason === after.reason &&
    JSON.stringify(contentOf(before)) === JSON.stringify(contentOf(after))
  );
}

function contentOf(
  instance: SagaInstance,
  { startedIn, subject, attributes }: ContentExtras = {},
): Content & ContentExtras {
  const { id: _, key: __, state: ___, reason: ____, startedAtMs: _____, ...content } = instance;
  return { ...content, startedIn, subject, attributes };
}
