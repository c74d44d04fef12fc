/** The part of a `TransactionHost` of `@nestjs-cls/transactional` that Waybill uses. */
export interface TransactionHostLike {
  readonly tx: unknown;
  isTransactionActive(): boolean;
  withTransaction(...args: never[]): unknown;
}

/** Where an application keeps the transaction that its code runs in. */
export interface AmbientOptions {
  /** The open transaction that the caller runs in; undefined when it runs in none. */
  readonly ambient?: () => unknown;
  /** The `TransactionHost` of `@nestjs-cls/transactional`, whose adapter is wrapped in {@link joinDeliveries}. */
  readonly transactionHost?: TransactionHostLike;
}
