import { wholeNumber } from '@waybill/kernel';
import type { SagaLockOptions, SagaLoopOptions, SagaRetentionOptions } from '@waybill/saga';

const DAY_MS = 86_400_000;

/** Names, defaults and ranges of the options that the module itself has for sagas. */
export const SAGA_SPECS = {
  keyMaxAgeMs: wholeNumber({ default: 30 * DAY_MS, min: 60_000, max: 3_650 * DAY_MS }),
};

/** Options of sagas in a Nest application. */
export type ModuleSagaOptions = SagaLoopOptions & {
  /** What participants hold for sagas. */
  readonly locks?: SagaLockOptions;
  readonly retention?: SagaRetentionOptions;
  /** A key of the service's sagas is followed by another one after this, in milliseconds. Default 30 days. */
  readonly keyMaxAgeMs?: number;
};
