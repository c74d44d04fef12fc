import { type BoundStatement, bindStatement, type Statement, translateDatabaseError } from '@waybill/kernel';
import type { SimProcess } from '../scheduler/sim-process.js';
import type { World } from '../scheduler/world.js';
import type { ModelServer } from './model-server.js';
import { SqlError } from './model-server.js';
import type { Transaction } from './transaction.js';

/** What is sent in one round trip. */
interface Request {
  readonly statements: readonly BoundStatement[];
  readonly begin: boolean;
  readonly commit: boolean;
}

/** How a round trip may fail. The first is the simplest. */
const LOSSES = ['before', 'after', 'late'] as const;
/** A round trip is lost about once in this many, while faults are left. */
const LOSS_ODDS = 40;

/**
 * A connection of a process to the model server. Every round trip is two steps: the request travels, the response
 * travels. It may be lost before or after it was executed, or its connection is lost while a copy of it is executed
 * later.
 */
export class ModelConnection {
  #open: Transaction | undefined;
  #isLost = false;
  /** What a statement of the open transaction failed with. */
  #failure: Error | undefined;

  constructor(
    private readonly server: ModelServer,
    private readonly process: SimProcess,
  ) {
    // The server notices later that the process is gone: until then, the transaction holds its locks.
    process.atCrash(() => this.#lose());
  }

  /** Whether a transaction is open. */
  get transaction(): Transaction | undefined {
    return this.#open;
  }

  /** Why nothing more can be done in the open transaction, as the product's sessions say it; undefined if something can. */
  get failure(): Error | undefined {
    return this.#open?.hasFailed === true ? this.#failure : undefined;
  }

  async run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]> {
    const isAlone = this.#open === undefined;
    const options = { begin: isAlone, commit: isAlone };
    const [rows] = await this.runBatch([bindStatement(statement, ...params)], options);
    return rows as Row[];
  }

  async runBatch(
    statements: readonly BoundStatement[],
    { begin = false, commit = false }: { readonly begin?: boolean; readonly commit?: boolean } = {},
  ): Promise<unknown[][]> {
    return this.#roundTrip({ statements, begin, commit }, (transaction) =>
      this.server.execute(transaction, statements),
    );
  }

  /** COPY … TO STDOUT. */
  async copyOut(text: string, onRow: (row: Buffer) => void): Promise<void> {
    const isAlone = this.#open === undefined;
    const request = { statements: [], begin: isAlone, commit: isAlone, name: 'copy' };
    const rows = await this.#roundTrip(request, (transaction) => this.server.copy(transaction, text));
    for (const row of rows) onRow(row);
  }

  /** Ends an open transaction. Never throws; false when the connection is lost. */
  async rollback(): Promise<boolean> {
    const open = this.#open;
    if (this.#isLost) return false;
    if (open === undefined) return true;
    await this.server.world.step('rolls back', this.process);
    this.#open = undefined;
    this.server.rollback(open);
    return !this.#isLost;
  }

  async #roundTrip<T>(
    request: Request & { readonly name?: string },
    execute: (transaction: Transaction) => Promise<T>,
  ): Promise<T> {
    const { world } = this.server;
    const name = (): string => request.name ?? nameOf(request, world);
    if (this.#isLost) throw lost(name());
    const loss = world.fault(LOSS_ODDS) ? world.choices.oneOf(LOSSES) : undefined;
    await world.step('sends', this.process);
    world.note(() => `${this.process.name}: ${name()}${loss === undefined ? '' : ` FAULT: lost ${loss}`}`);
    if (request.begin) this.#open = this.server.begin(this.process.name);
    const transaction = this.#open;
    if (transaction === undefined) throw new Error('no transaction is open');
    if (loss === 'before') {
      this.#lose();
      throw lost(name());
    }
    if (loss === 'late') {
      this.#open = undefined;
      this.#isLost = true;
      world.spawn(() => this.#late(transaction, request, execute, name));
      throw lost(name());
    }
    let result: T;
    try {
      result = await execute(transaction);
    } catch (error) {
      if (request.commit) this.#end(transaction, 'rolled-back');
      await world.step('gets an error', this.process);
      const failure = translateDatabaseError(error, `Running ${name()}`);
      this.#failure = failure;
      throw failure;
    }
    if (request.commit) this.#end(transaction, 'committed');
    await world.step('gets the response', this.process);
    if (loss === 'after') {
      this.#lose();
      throw lost(name());
    }
    return result;
  }

  #end(transaction: Transaction, how: 'committed' | 'rolled-back'): void {
    this.#open = undefined;
    if (how === 'committed') this.server.commit(transaction);
    else this.server.rollback(transaction);
  }

  /** A copy of the request is executed although its sender has given it up. */
  async #late<T>(
    transaction: Transaction,
    request: Request,
    execute: (transaction: Transaction) => Promise<T>,
    name: () => string,
  ): Promise<void> {
    const { world } = this.server;
    const delayMs = world.choices.oneOf([0, 300, 3_000]);
    if (delayMs > 0) await world.sleep(delayMs);
    await world.step(`a late copy of ${this.process.name}`);
    world.note(() => `late copy of ${this.process.name}: ${name()}`);
    try {
      await execute(transaction);
      if (request.commit) return this.server.commit(transaction);
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
    }
    this.server.rollback(transaction);
  }

  /** The connection is gone; the server notices that a moment later. */
  #lose(): void {
    this.#isLost = true;
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    this.server.world.spawn(async () => this.server.rollback(open));
  }
}

function nameOf({ statements, begin, commit }: Request, world: World): string {
  const names = statements.map(({ statement, params }) => `${statement.name}(${show(params, world)})`);
  return [...(begin ? ['begin'] : []), ...names, ...(commit ? ['commit'] : [])].join('; ');
}

/** A random UUID. */
const RANDOM_ID = /[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[\da-f]{4}-[\da-f]{12}/g;

function show(params: readonly unknown[], world: World): string {
  return params
    .map((param) => {
      if (Buffer.isBuffer(param)) return '…';
      const text: string | undefined = JSON.stringify(param);
      return text?.replaceAll(RANDOM_ID, (id) => world.nameOf(id)).slice(0, 60);
    })
    .join(', ');
}

function lost(doing: string): Error {
  return translateDatabaseError(new SqlError('08006', 'the connection was lost'), `Running ${doing}`);
}
