/** How an operation stands: begun, certainly done, certainly not done, or its outcome is unknown. */
export type OperationType = 'invoke' | 'ok' | 'fail' | 'info';

/** What every line of a history has. */
interface Line {
  /** Milliseconds since 1970, by the clock of the recording process. */
  readonly atMs: number;
  /** The process that recorded it: role and number, with its incarnation. */
  readonly process: string;
}

/** A business transaction that publishes. Each message carries the turn of its key, taken under the key's row lock. */
export interface PublishOperation extends Line {
  readonly f: 'publish';
  readonly type: OperationType;
  /** Names the transaction. */
  readonly id: string;
  readonly messages: readonly PublishedMessage[];
}

/** A message of a transaction: its number in the run, its key, and the turn of that key. */
export interface PublishedMessage {
  readonly n: number;
  readonly key: string;
  readonly turn: number;
}

/** An attempt of a handler. */
export interface HandleOperation extends Line {
  readonly f: 'handle';
  readonly type: OperationType;
  readonly group: string;
  readonly n: number;
  readonly partition: number;
  readonly offset: number;
  readonly attempt: number;
  /** Names this delivery: attempts that end with their connection do not count, so their number comes again. */
  readonly delivery: string;
}

/** A timer: a message that is due later. */
export interface ScheduleOperation extends Line {
  readonly f: 'schedule';
  readonly type: OperationType;
  readonly n: number;
  /** Milliseconds since 1970, by the database's clock. */
  readonly dueAtMs: number;
}

/** A half message, and what became of its local work. */
export interface HalfOperation extends Line {
  readonly f: 'half';
  readonly type: OperationType;
  readonly n: number;
  readonly outcome: 'commit' | 'rollback' | 'unknown';
}

/** A saga that is started, in one transaction with its order. */
export interface SagaOperation extends Line {
  readonly f: 'saga';
  readonly type: OperationType;
  /** Names the order. */
  readonly key: string;
}

/** The newest position of a group in a partition, as an observer read it. */
export interface PositionOperation extends Line {
  readonly f: 'position';
  readonly group: string;
  readonly partition: number;
  readonly position: number;
  readonly ownerEpoch: number;
}

/** What the bank and the stock hold, in one look of an observer. */
export interface BankOperation extends Line {
  readonly f: 'bank';
  /** Of all accounts together. */
  readonly pence: number;
  /** Of the account with the least. */
  readonly poorest: number;
  /** Of the article of which the fewest pieces are left. */
  readonly fewest: number;
}

/** A fault that begins or has ended. */
export interface FaultOperation extends Line {
  readonly f: 'fault';
  readonly type: 'invoke' | 'ok';
  readonly name: string;
  /** Everything has to go on while it works. */
  readonly stopsNothing: boolean;
  readonly detail: string;
}

/** A line of a history. */
export type Operation =
  | PublishOperation
  | HandleOperation
  | ScheduleOperation
  | HalfOperation
  | SagaOperation
  | PositionOperation
  | BankOperation
  | FaultOperation;
