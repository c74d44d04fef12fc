import type { SagaState } from '@waybill/saga';
import type { Scenario } from '../load/saga-definitions.js';
import type { Operation } from '../history/operation.js';

/** A record of the log, as it was read at the end of a run. */
export interface LoggedRecord {
  readonly partition: number;
  readonly offset: number;
  readonly messageId: string;
  readonly n: number;
  readonly key: string;
  readonly turn: number;
}

/** A row of the ledger: an effect that a handler committed. */
export interface LedgerRow {
  /** Rises in the order in which rows were written; rows of one key are written one after the other. */
  readonly id: number;
  readonly group: string;
  readonly n: number;
  readonly partition: number;
  readonly offset: number;
  readonly attempt: number;
  readonly delivery: string;
  /** Milliseconds since 1970, by the database's clock. */
  readonly atMs: number;
}

/** A dead letter that is open at the end of a run. */
export interface OpenDeadLetter {
  readonly group: string;
  readonly n: number;
  readonly reason: string;
}

/** A message that was due later: its row in the business table, and what its handler committed. */
export interface ScheduledMessage {
  readonly n: number;
  /** Milliseconds since 1970, by the database's clock. */
  readonly dueAtMs: number;
  /** When it took effect, each time. */
  readonly effectsAtMs: readonly number[];
}

/** Who wrote an effect, and who owned its partition when the effect was committed. */
export interface OwnedEffect {
  readonly group: string;
  readonly partition: number;
  readonly n: number;
  readonly ownerEpoch: number;
  /** The process of the owning member, with its incarnation; null when there was no owner. */
  readonly owner: string | null;
  /** The process that wrote the effect, with its incarnation. */
  readonly writer: string;
}

/** A pass of a service's outbox, which the log knows by its number and its token. */
export interface Pass {
  readonly n: number;
  readonly token: string;
}

/** The passes of a service's outbox. */
export interface Passes {
  /** As the log took them. */
  readonly logged: readonly Pass[];
  /** As the service intended them, amended ones included; with the newest that was answered, as it knew then. */
  readonly intended: readonly (Pass & { readonly confirmed: number })[];
  /** Service and bus share a database: a pass is intended and answered in one transaction. */
  readonly inOneTransaction: boolean;
}

/** An effect of a saga, or the compensation of one, which a transaction committed. */
export interface SagaEffect {
  readonly step: string;
  readonly direction: 'do' | 'undo';
}

/** A saga whose start was committed, and what came of it. */
export interface StartedSaga {
  /** Names the order. */
  readonly key: string;
  readonly scenario: Scenario;
  readonly sku: string;
  readonly customer: string;
  readonly pence: number;
  /** Its state at the end of the run; null when there is no such saga. */
  readonly state: SagaState | null;
  /** In the order in which they were written. */
  readonly effects: readonly SagaEffect[];
}

/** What accounts and shelves hold, by their names. */
export type Holdings = ReadonlyMap<string, number>;

/** The bank and the stock, before and after the run. */
export interface Bank {
  readonly opening: Holdings;
  readonly closing: Holdings;
}

/** All that the checkers of messages look at: what was recorded outside, and what the databases hold in the end. */
export interface Evidence {
  readonly history: readonly Operation[];
  /** Messages of transactions that are committed, as a table of the business says: it resolves unknown outcomes. */
  readonly committed: ReadonlySet<number>;
  /** The log as a reader saw it that followed it from the start. */
  readonly log: readonly LoggedRecord[];
  /** The log as another reader saw it in the end: what retention has left. */
  readonly logAgain: readonly LoggedRecord[];
  /** Messages that retention has taken from a group, as an operator noted: group and number. */
  readonly lostToRetention: ReadonlySet<string>;
  readonly ledger: readonly LedgerRow[];
  readonly deadLetters: readonly OpenDeadLetter[];
  readonly scheduled: readonly ScheduledMessage[];
  /** Half messages: whose local work is committed, and each effect. */
  readonly halves: { readonly committed: ReadonlySet<number>; readonly effects: readonly number[] };
  readonly owned: readonly OwnedEffect[];
  /** Of each service with an outbox. */
  readonly passes: readonly Passes[];
  readonly sagas: readonly StartedSaga[];
  readonly bank: Bank;
  /** The groups that handle every message. */
  readonly groups: readonly string[];
}

/** Something that must not be. */
export interface Violation {
  /** The rule that it breaks. */
  readonly rule: string;
  /** What was seen, with ids. */
  readonly what: string;
  /** When, in milliseconds since 1970, once for each message that it is about. Default: once, at an unknown time. */
  readonly times?: readonly number[];
}

/** Looks at the evidence of a run. @returns what breaks its rule; empty when the rule holds */
export type Checker = (evidence: Evidence) => Violation[];
