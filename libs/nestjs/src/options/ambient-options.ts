/** The part of a `TransactionHost` of `@nestjs-cls/transactional` that Waybill uses. */
export interface TransactionHostLike {
  readonly tx: unknown;
  isTransactionActive(): boolean;
  withTransaction(...args: never[]): unknown;
}

/** How an application provides the transaction that its code runs in. */
export interface AmbientOptions {
  /** The open transaction that the caller runs in; undefined if there is none. */
  readonly ambient?: () => unknown;
  /** The `TransactionHost` of `@nestjs-cls/transactional`, with an adapter wrapped in {@link joinDeliveries}. */
  readonly transactionHost?: TransactionHostLike;
}
