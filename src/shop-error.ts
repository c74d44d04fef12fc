/** Code of an error in the shop's set-up or input. Programs branch on it. */
export type ShopErrorCode =
  | 'SHOP_CONFIG'
  | 'SHOP_MIGRATION_CHANGED'
  | 'SHOP_ORDER_TRANSITION'
  | 'SHOP_MONEY'
  | 'DEMO_USAGE'
  | 'DEMO_ORDER_FILE'
  | 'DEMO_SERVICE'
  | 'DEMO_COMMAND'
  | 'DEMO_FEED';

/** An error of the shop: the message says what happened, then what to do. */
export class ShopError extends Error {
  constructor(
    readonly code: ShopErrorCode,
    message: string,
    /** All problems, if there are several. */
    readonly problems: readonly string[] = [],
    cause?: unknown,
  ) {
    super(
      problems.length === 0
        ? message
        : `${message}\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
      cause === undefined ? undefined : { cause },
    );
    this.name = 'ShopError';
  }
}
