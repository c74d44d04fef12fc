import type { HalfMessageCheckerOptions, HalfMessagesOptions } from '@waybill/half-message';

/** Options of half messages in a Nest application. */
export type ModuleHalfMessageOptions = HalfMessagesOptions & {
  /**
   * Whether this process checks half messages of its group, and how. Default: on if `group` is set and it relays or
   * consumes.
   */
  readonly check?: boolean | HalfMessageCheckerOptions;
};
