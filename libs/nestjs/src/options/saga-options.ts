import { wholeNumber } from '@waybill/kernel';
import type { SagaLockOptions, SagaLoopOptions, SagaRetentionOptions } from '@waybill/saga';

const DAY_MS = 86_400_000;

/** Names, defaults and ranges of the saga options of the module itself. */
export const SAGA_SPECS = {
  keyMaxAgeMs: wholeNumber({ default: 30 * DAY_MS, min: 60_000, max: 3_650 * DAY_MS }),
};

/** Options of sagas in a Nest application. */
export type ModuleSagaOptions = SagaLoopOptions & {
  /** Participants' locks. */
  readonly locks?: SagaLockOptions;
  readonly retention?: SagaRetentionOptions;
  /** Maximum age of a key of the service's sagas, in milliseconds; then a new one replaces it. Default 30 days. */
  readonly keyMaxAgeMs?: number;
};
