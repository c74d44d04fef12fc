import { checkEffectOrder, checkEffects, checkReportedAttempts } from './effects.js';
import type { Checker, Evidence, Violation } from './evidence.js';
import { checkCommitOrder, checkDenseOffsets, checkNoDuplicates, checkOffsetAgreement } from './log.js';
import { checkNothingSkipped, checkPositions } from './positions.js';
import { checkHalves } from './halves.js';
import { checkPasses } from './passes.js';
import { checkOwners } from './owners.js';
import { checkBank, checkSagaEffects, checkSagaEnds, checkSagaStarts } from './sagas.js';
import { checkTimers, checkTimersOnTime } from './timers.js';
import { checkNothingLost, checkOutcomes } from './publishing.js';

/** The checkers of messages, by name. */
export const CHECKERS: Readonly<Record<string, Checker>> = {
  outcomes: checkOutcomes,
  lost: checkNothingLost,
  dense: checkDenseOffsets,
  duplicates: checkNoDuplicates,
  agreement: checkOffsetAgreement,
  'commit-order': checkCommitOrder,
  effects: checkEffects,
  'effect-order': checkEffectOrder,
  attempts: checkReportedAttempts,
  timers: checkTimers,
  'timers-on-time': checkTimersOnTime,
  halves: checkHalves,
  positions: checkPositions,
  skipped: checkNothingSkipped,
  owners: checkOwners,
  passes: checkPasses,
  'saga-starts': checkSagaStarts,
  'saga-ends': checkSagaEnds,
  'saga-effects': checkSagaEffects,
  bank: checkBank,
};

/** What breaks its rule, over the whole evidence. */
export function check(evidence: Evidence): Violation[] {
  return Object.values(CHECKERS).flatMap((checker) => checker(evidence));
}
