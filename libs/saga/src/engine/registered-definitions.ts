import { ConfigurationError, type Logger, type SqlSession } from '@waybill/kernel';
import { SagaDefinitionChangedError, SagaNotRegisteredError } from '../errors/saga-errors.js';
import { differencesOf, fingerprintOf, shapeOf } from '../definition/fingerprint.js';
import type { SagaDefinition } from '../definition/saga-definition.js';
import { type SagaDefinitions, signalsOf } from '../definition/saga-definitions.js';
import { patchesOf } from '../machine/items.js';
import {
  findDefinition,
  liveSagas,
  liveVersions,
  registerDefinition,
  stickSagas,
} from '../statements.generated.js';
import type { StoredSaga } from './saga-store.js';

/** A definition that another process registered within this time is not lost. */
const LATELY_MS = 120_000;

/** What a process does with active sagas that its definitions do not fit. */
export interface DefinitionRules {
  /** For a version that it does not have: `refuse` to start, or let them wait for a process that has it. */
  readonly onUnknownVersion: 'refuse' | 'wait';
  /** For a version whose steps have changed: `refuse` to start, or leave them to operators as `stuck`. */
  readonly onChangedDefinition: 'refuse' | 'stuck';
}

/** Active sagas that no process of the service can continue, since none has registered their definition lately. */
export interface UnservedSagas {
  readonly type: string;
  readonly version: number;
  readonly sagas: number;
}

type Live = Awaited<ReturnType<typeof readLive>>[number];

function readLive(session: SqlSession, replyTopic: string) {
  return session.run(liveVersions, replyTopic);
}

/** The definitions that the processes of a service have registered, including this one's. */
export class RegisteredDefinitions {
  readonly #seen = new Set<string>();

  constructor(
    private readonly replyTopic: string,
    private readonly service: string,
    private readonly definitions: SagaDefinitions,
  ) {}

  /** Registers what this process has. */
  async register(session: SqlSession): Promise<void> {
    for (const definition of this.definitions) {
      const { type, version } = definition;
      const shape = JSON.stringify(shapeOf(definition));
      const fingerprint = fingerprintOf(definition);
      const signals = signalsOf(definition);
      await session.run(registerDefinition, this.replyTopic, type, version, fingerprint, shape, signals);
    }
  }

  /**
   * Checks that some process can continue a saga and the children that it starts.
   * @throws SagaNotRegisteredError
   */
  async assertStartable(session: SqlSession, definition: SagaDefinition): Promise<void> {
    await this.#assertKnown(session, definition);
    for (const { forward } of definition.steps) {
      const action = forward.kind === 'each' ? forward.element(undefined, '').forward : forward;
      if (action.kind === 'child') await this.#assertKnown(session, action);
    }
  }

  async #assertKnown(
    session: SqlSession,
    { type, version }: Pick<SagaDefinition, 'type' | 'version'>,
  ): Promise<void> {
    if (await this.isKnown(session, type, version)) return;
    throw new SagaNotRegisteredError(type, version, this.service);
  }

  /** Whether this process has a definition, or another process of the service has registered it. */
  async isKnown(session: SqlSession, type: string, version: number): Promise<boolean> {
    const name = `${type}@${version}`;
    if (this.definitions.find(type, version) !== undefined || this.#seen.has(name)) return true;
    const rows = await session.run(findDefinition, this.replyTopic, type, version);
    if (rows.length > 0) this.#seen.add(name);
    return rows.length > 0;
  }

  /** Signals that sagas of a version wait for; undefined when no process has registered it. */
  async signalsOf(
    session: SqlSession,
    type: string,
    version: number,
  ): Promise<readonly string[] | undefined> {
    const definition = this.definitions.find(type, version);
    if (definition !== undefined) return signalsOf(definition);
    const [row] = await session.run(findDefinition, this.replyTopic, type, version);
    return row?.signals;
  }

  /** @throws SagaDefinitionChangedError when a saga began with steps that differ from its definition here */
  async assertFits(session: SqlSession, stored: StoredSaga, definition: SagaDefinition): Promise<void> {
    const { fingerprint, instance } = stored;
    const { type, version } = definition;
    const patches = patchesOf(definition);
    const missing = instance.patches.filter((patch) => !patches.includes(patch));
    // An older release lacks the steps of the change, which may have to be undone.
    if (missing.length > 0)
      throw new SagaDefinitionChangedError(
        type,
        version,
        missing.map((patch) => `the saga began with change ${patch}, which this process does not have`),
      );
    if (fingerprint === null || fingerprint === fingerprintOf(definition)) return;
    const rows = await session.run(findDefinition, this.replyTopic, type, version);
    const shape = rows.find((row) => row.fingerprint === fingerprint)?.shape ?? null;
    throw new SagaDefinitionChangedError(type, version, changes(shape, definition));
  }

  /**
   * At start, looks for active sagas that the definitions of this process do not fit.
   * @throws ConfigurationError that names what has changed and the versions that were dropped too early
   */
  async check(session: SqlSession, rules: DefinitionRules, logger: Logger): Promise<void> {
    await this.register(session);
    const problems: string[] = [];
    for (const live of await readLive(session, this.replyTopic)) {
      const definition = this.definitions.find(live.type, live.version);
      if (definition === undefined) this.#unknown(live, rules, problems, logger);
      else if (live.fingerprint !== null && live.fingerprint !== fingerprintOf(definition))
        await this.#changed(session, live, definition, rules, problems, logger);
    }
    if (problems.length > 0)
      throw new ConfigurationError('Active sagas have lost their definition', problems);
    await this.#warnOfChildren(session, logger);
  }

  /** Active sagas that wait for a process that has their version. */
  async unserved(session: SqlSession): Promise<UnservedSagas[]> {
    const live = await session.run(liveSagas, this.replyTopic);
    return live
      .filter(({ type, version }) => this.definitions.find(type, version) === undefined)
      .filter(({ seenMs }) => seenMs === null || seenMs >= LATELY_MS)
      .map(({ type, version, sagas }) => ({ type, version, sagas }));
  }

  #unknown(
    { type, version, sagas, seenMs }: Live,
    rules: DefinitionRules,
    problems: string[],
    logger: Logger,
  ): void {
    const what = `${sagas} of ${type} version ${version} are active`;
    // When this process has other versions of the type, this one was dropped, and processes that still have it will be replaced.
    const isDropped = [...this.definitions].some((definition) => definition.type === type);
    const isElsewhere = !isDropped && seenMs !== null && seenMs < LATELY_MS;
    if (isElsewhere)
      logger.warn(`${what}: this process does not have that version and leaves them to another`);
    else if (rules.onUnknownVersion === 'wait')
      logger.warn(`${what}: no process has that version; they wait until one does`);
    else
      problems.push(
        `${what}: keep that version until they have ended, or set sagas.onUnknownVersion to wait`,
      );
  }

  async #changed(
    session: SqlSession,
    { type, version, sagas, shape, fingerprint }: Live,
    definition: SagaDefinition,
    rules: DefinitionRules,
    problems: string[],
    logger: Logger,
  ): Promise<void> {
    const what = changes(shape, definition).join('; ');
    if (rules.onChangedDefinition === 'stuck') {
      const reason = `version ${version} of ${type} has changed since it began: ${what}`;
      await session.run(stickSagas, this.replyTopic, type, version, fingerprint ?? '', reason);
      logger.error(`${sagas} sagas are left to operators: ${reason}`);
      return;
    }
    problems.push(
      `${sagas} of ${type} version ${version} began with other steps: ${what}. Restore the old steps and add a version for ` +
        'the new ones, mark them as patched, or set sagas.onChangedDefinition to stuck',
    );
  }

  async #warnOfChildren(session: SqlSession, logger: Logger): Promise<void> {
    for (const { type, steps } of this.definitions)
      for (const { name, forward } of steps) {
        const action = forward.kind === 'each' ? forward.element(undefined, '').forward : forward;
        if (action.kind !== 'child') continue;
        if (!(await this.isKnown(session, action.type, action.version)))
          logger.warn(
            `step ${name} of ${type} starts version ${action.version} of ${action.type}, which no process has registered`,
          );
      }
  }
}

function changes(shape: string | null, definition: SagaDefinition): string[] {
  if (shape === null) return ['its steps are no longer known'];
  return differencesOf(JSON.parse(shape) as string[], shapeOf(definition));
}
