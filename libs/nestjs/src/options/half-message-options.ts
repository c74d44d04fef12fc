import type { HalfMessageCheckerOptions, HalfMessagesOptions } from '@waybill/half-message';

/** Options of half messages in a Nest application. */
export type ModuleHalfMessageOptions = HalfMessagesOptions & {
  /** Whether this process asks about half messages of its group, and how. Default: where `group` is given, and it relays or consumes. */
  readonly check?: boolean | HalfMessageCheckerOptions;
};
