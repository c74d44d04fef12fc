import type pg from 'pg';
import { TransactionRequiredError } from '../errors/usage-errors.js';
import { HandleLentError } from '../errors/runtime-errors.js';
import type { BatchEntry } from '../sql/statement-batch.js';
import type { PgTransaction } from './pg-transaction.js';

/** A client as a handler gets it, and the functions that revoke it. */
export interface RevocableClient {
  readonly client: pg.PoolClient;
  /** Whether the handler has used it: it may have changed settings of the session. */
  readonly wasUsed: boolean;
  /** From now on each new use of the client throws TransactionRequiredError. Earlier queries are still sent. */
  end(): void;
  /** From now on none of the handler's queries is sent, not even earlier ones. */
  revoke(): void;
}

/** Members that would release or end the connection while the transaction is open. */
const REFUSED: ReadonlySet<string | symbol> = new Set([
  'release',
  'end',
  'connect',
  'cancel',
  'ref',
  'unref',
]);

/** Statements that would end the transaction. One in the middle of a text is noticed at COMMIT. */
const ENDING = /^\s*(commit|end|abort|rollback(?!\s+(work\s+|transaction\s+)?to\b)|prepare\s+transaction)\b/i;

/** Listeners added to the client are removed when it is revoked. */
const LISTENING: ReadonlySet<string | symbol> = new Set([
  'on',
  'addListener',
  'once',
  'prependListener',
  'prependOnceListener',
]);

type Listener = (...args: unknown[]) => void;

/**
 * Lends a pooled client to a handler for the duration of its transaction. A handler may still be running when its
 * transaction has ended: it was too slow, another handler of the message failed, or it did not await a promise. Its
 * queries must not reach the connection then, which may serve other work; so each is checked when it is sent.
 *
 * Statements that the transaction has not sent yet precede those of the handler.
 */
export function lendClient(lent: pg.PoolClient, transaction: PgTransaction): RevocableClient {
  const loan = new Loan(lent, transaction);
  const query = (...args: unknown[]): unknown => loan.query(args);
  const client = new Proxy(lent, {
    get(target, property) {
      loan.assertOpen();
      if (property === 'query') return query;
      if (property === 'getTransactionStatus') return () => transaction.status;
      if (isRefused(property)) return () => refuse(property);
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      if (LISTENING.has(property)) return loan.listening(property as 'on', () => client);
      return (value as (...args: unknown[]) => unknown).bind(target);
    },
    set: (_, property) => refuse(property),
    defineProperty: (_, property) => refuse(property),
    deleteProperty: (_, property) => refuse(property),
    setPrototypeOf: () => refuse('prototype'),
  });
  return {
    client,
    get wasUsed() {
      return loan.wasUsed;
    },
    end: () => loan.end(),
    revoke: () => loan.revoke(),
  };
}

/** What a handler has done with a client so far. */
class Loan {
  wasUsed = false;
  #ended = false;
  #revoked = false;
  readonly #listeners: (readonly [event: string, listener: Listener])[] = [];

  constructor(
    private readonly lent: pg.PoolClient,
    private readonly transaction: PgTransaction,
  ) {}

  assertOpen(): void {
    if (this.#ended) throw endedError();
  }

  query(args: unknown[]): unknown {
    this.assertOpen();
    const text = textOf(args[0]);
    if (text !== undefined && ENDING.test(text))
      throw new TransactionRequiredError('The work tried to end its transaction itself; Waybill does that');
    this.wasUsed = true;
    const plain = this.transaction.hasWaiting ? plainQueryOf(args, this.lent) : undefined;
    if (plain !== undefined) return this.#sendTogether(plain);
    const flushing = this.transaction.flush();
    if (flushing === undefined && this.transaction.problem === undefined) return this.#send(args);
    const sent = this.#sendBehind(flushing, args);
    const submittable = submittableOf(args[0]);
    // A query object of the caller is returned as it is; a query with a callback returns nothing.
    if (submittable === undefined && typeof args.at(-1) !== 'function') return sent;
    sent.catch(() => {});
    return submittable;
  }

  listening(property: 'on', self: () => unknown): (event: string, listener: Listener) => unknown {
    return (event, listener) => {
      this.lent[property](event as 'notice', listener);
      this.#listeners.push([event, listener]);
      return self();
    };
  }

  end(): void {
    this.#ended = true;
    for (const [event, listener] of this.#listeners.splice(0)) this.lent.off(event as 'notice', listener);
  }

  revoke(): void {
    this.end();
    this.#revoked = true;
  }

  /** A round trip costs more than most statements. */
  async #sendTogether(query: BatchEntry): Promise<pg.QueryResult> {
    if (this.#revoked) throw endedError();
    return this.transaction.queryBehind(query);
  }

  async #sendBehind(flushing: Promise<void> | undefined, args: unknown[]): Promise<unknown> {
    await flushing;
    const problem = this.#revoked ? endedError() : this.transaction.problem;
    if (problem === undefined) return this.#send(args);
    const error = problem as Error;
    const callback = args.at(-1);
    const submittable = submittableOf(args[0]);
    if (submittable === undefined && typeof callback !== 'function') throw error;
    if (submittable === undefined) (callback as Listener)(error);
    else submittable.handleError(error);
    return undefined;
  }

  #send(args: unknown[]): unknown {
    return (this.lent.query as (...args: unknown[]) => unknown)(...args);
  }
}

function textOf(query: unknown): string | undefined {
  const text = typeof query === 'string' ? query : (query as { text?: unknown } | null | undefined)?.text;
  return typeof text === 'string' ? text : undefined;
}

/** Options of a query that {@link plainQueryOf} knows. */
const PLAIN: ReadonlySet<string> = new Set(['text', 'values', 'rowMode', 'types']);

/**
 * A query that can be sent in a batch: one statement, whose result is awaited by a promise. Without values, a text with a
 * semicolon may be several statements, which need a message of their own.
 */
function plainQueryOf(args: readonly unknown[], lent: pg.PoolClient): BatchEntry | undefined {
  const [query, given, ...more] = args;
  if (more.length > 0 || typeof given === 'function' || submittableOf(query) !== undefined) return undefined;
  const config: unknown = typeof query === 'string' ? { text: query } : query;
  if (typeof config !== 'object' || config === null || !Object.keys(config).every((key) => PLAIN.has(key)))
    return undefined;
  const { text, values = given ?? [], rowMode, types } = config as Partial<PlainQuery>;
  if (typeof text !== 'string' || !Array.isArray(values)) return undefined;
  if (values.length === 0 && text.includes(';')) return undefined;
  if (rowMode !== undefined && rowMode !== 'array') return undefined;
  return {
    text,
    values,
    types: types ?? { getTypeParser: lent.getTypeParser.bind(lent) as pg.CustomTypesConfig['getTypeParser'] },
    ...(rowMode === undefined ? {} : { rowMode }),
  };
}

interface PlainQuery {
  readonly text: unknown;
  readonly values: unknown;
  readonly rowMode: unknown;
  readonly types: pg.CustomTypesConfig;
}

interface SubmittableQuery {
  submit: unknown;
  handleError(error: unknown): void;
}

function submittableOf(query: unknown): SubmittableQuery | undefined {
  return typeof (query as Partial<SubmittableQuery> | null | undefined)?.submit === 'function'
    ? (query as SubmittableQuery)
    : undefined;
}

function endedError(): TransactionRequiredError {
  return new TransactionRequiredError('The transaction has ended, and its handle was used afterwards');
}

/** `using` and `await using` end the client as well. */
function isRefused(property: string | symbol): boolean {
  return (
    REFUSED.has(property) || (typeof property === 'symbol' && /dispose/i.test(property.description ?? ''))
  );
}

function refuse(property: string | symbol): never {
  throw new HandleLentError('client', String(property));
}
