import type { Mutant } from './mutant.js';

/** A planted bug that the simulator must find: of the product, or one that a machine's model knows by name. */
export interface SimulatorMutant extends Pick<Mutant, 'what' | 'find' | 'replace'> {
  /** The machine that finds it. */
  readonly simulator: string;
  /** The compiled file, from `libs`; or the name of a bug of the machine's model, which needs no replacement. */
  readonly at: { readonly file: string } | { readonly model: string };
}

function ofModel(simulator: string, model: string, what: string): SimulatorMutant {
  return { what, simulator, at: { model }, find: '', replace: '' };
}

/** The planted bugs for the simulator, by name. Every one must be caught within 20,000 schedules of its machine. */
export const SIMULATOR_MUTANTS: Readonly<Record<string, SimulatorMutant>> = {
  'position-over-a-gap': {
    what: 'a lane takes the end of what it fetched for its position',
    simulator: 'lane',
    at: { file: 'consumer/dist/lane/lane-window.js' },
    find: 'for (const offset of this.#open.keys())',
    replace: 'for (const offset of [])',
  },
  'busy-keys-free': {
    what: 'messages of one key run at the same time',
    simulator: 'lane',
    at: { file: 'consumer/dist/lane/lane-window.js' },
    find: 'return key !== null && this.#busyKeys.has(key);',
    replace: 'return false;',
  },
  'blocked-keys-free': {
    what: 'later messages of a key pass one that waits for its retry',
    simulator: 'lane',
    at: { file: 'consumer/dist/parked/parked-queue.js' },
    find: 'return key !== null && this.#queues.has(key);',
    replace: 'return false;',
  },
  'verdict-without-fence': {
    what: 'a delivery ends without the fence',
    simulator: 'lane',
    at: { file: 'consumer/dist/lane/log-messages.js' },
    find: 'return this.progress.advance(position, marks, committed);',
    replace:
      "return plainVerdict([...marks, progress.mark(records.map(({ offset }) => offset), 'done')], committed);",
  },
  'effect-without-mark': {
    what: 'what a delivery has done is not marked',
    simulator: 'lane',
    at: { file: 'consumer/dist/lane/log-messages.js' },
    find: 'return this.progress.advance(position, marks, committed);',
    replace: 'return plainVerdict([progress.fence()], committed);',
  },
  'parked-row-stays': {
    what: 'a parked message that is done keeps its row',
    simulator: 'lane',
    at: { file: 'consumer/dist/parked/parked-lane.js' },
    find: 'plainVerdict([this.#store.remove(offset), ...resolved, progress.fence()],',
    replace: 'plainVerdict([...resolved, progress.fence()],',
  },
  'attempts-not-counted': {
    what: 'the number of attempts is forgotten',
    simulator: 'lane',
    at: { file: 'consumer/dist/retry/follow-failure.js' },
    find: 'message.history.attempts = failing.attempts;',
    replace: '',
  },
  'error-swallowed': {
    what: "a handler's error counts as done",
    simulator: 'lane',
    at: { file: 'consumer/dist/delivery/handler-calls.js' },
    find: 'throw new RecordFailedError(index, await ownFailure(thrown, session));',
    replace: 'continue;',
  },
  'charged-twice': {
    what: 'a process whose charge got no response charges the record again',
    simulator: 'lane',
    at: { file: 'consumer/dist/retry/own-charges.js' },
    find: 'own.before + own.wanted - stored',
    replace: 'own.wanted',
  },
  'no-in-flight-marker': {
    what: 'records are started without a note in the database',
    simulator: 'lane',
    at: { file: 'consumer/dist/lane/lane-progress.js' },
    find: '(this.covers(end) ? undefined : next())',
    replace: 'undefined',
  },
  'no-new-epoch-after-loss': {
    what: 'a lane whose connection was lost goes on in its old epoch',
    simulator: 'lane',
    at: { file: 'consumer/dist/lane/owned-partitions.js' },
    find: 'partitions.filter((partition) => partition.ownership !== undefined && partition.written)',
    replace: '[]',
  },
  'alone-in-company': {
    what: 'a suspect runs beside others',
    simulator: 'lane',
    at: { file: 'consumer/dist/lane/lane-window.js' },
    find: 'return this.#running > 0 || isBlocked(first.key) ? undefined : this.#start([first], true);',
    replace: 'return isBlocked(first.key) ? undefined : this.#start([first], true);',
  },
  'redriven-overtaken': {
    what: 'in order partition, later messages pass one that an operator has redriven',
    simulator: 'lane',
    at: { file: 'consumer/dist/parked/parked-lane.js' },
    find: 'return this.queue.size > 0;',
    replace: 'return this.blocksPartition;',
  },
  'redriven-attempts-stay': {
    what: 'a redriven message keeps the attempts that it had',
    simulator: 'lane',
    at: { file: 'consumer/dist/parked/parked-lane.js' },
    find: 'if (begun.attempts < entry.attempts)',
    replace: 'if (false)',
  },
  'fence-open': ofModel('lane', 'no-fence', 'every owner passes the fence'),
  'fence-unlocked': ofModel('lane', 'fence-without-lock', 'the fence does not lock the row of the owner'),
  'reclaim-too-early': ofModel(
    'lane',
    'reclaim-ignores-locks',
    'an epoch is raised during a commit of the old one',
  ),
  'compensate-in-any-order': {
    what: 'compensations do not wait for those of later steps',
    simulator: 'saga',
    at: { file: 'saga/dist/machine/backward.js' },
    find: 'if (!isClearAfter(draft, index, clear) || !draft.hasCapacity(step, open))',
    replace: 'if (!draft.hasCapacity(step, open))',
  },
  'forget-running-steps': {
    what: 'a step that is running when the saga turns is not compensated',
    simulator: 'saga',
    at: { file: 'saga/dist/machine/backward.js' },
    find: "if (status !== 'running' && status !== 'waiting' && status !== 'stuck')",
    replace: "if (status !== 'waiting' && status !== 'stuck')",
  },
  'back-over-the-pivot': {
    what: 'a saga is compensated although it has passed its pivot',
    simulator: 'saga',
    at: { file: 'saga/dist/machine/transition-draft.js' },
    find: "return this.direction === 'forward' && !this.steps.some((step) => this.#barsTheWay(step));",
    replace: "return this.direction === 'forward';",
  },
  'time-out-forgotten': {
    what: 'a step that gets no reply waits forever',
    simulator: 'saga',
    at: { file: 'saga/dist/machine/next-transition.js' },
    find: "else if (record.status === 'running')",
    replace: "else if (record.status === 'never')",
  },
  'no-saga-lock': ofModel('saga', 'no-row-lock', 'two engines change a saga at the same time'),
  'no-barrier': ofModel('saga', 'no-barrier', 'an action may be done after its empty compensation'),
  'timer-not-delivered': {
    what: 'a claimed timer is deleted without its message',
    simulator: 'timers',
    at: { file: 'timer/dist/timer-service.js' },
    find: 'return [...statements, ...aside, ...sending];',
    replace: 'return [...statements, ...aside];',
  },
  'no-sweep': {
    what: 'timers that were committed late are not looked for',
    simulator: 'timers',
    at: { file: 'timer/dist/timer-upkeep.js' },
    find: 'this.found(probe.nextMs);',
    replace: ';',
  },
  'sweep-put-off': {
    what: 'a sweep that was held up puts off the next one by twenty times that',
    simulator: 'timers',
    at: { file: 'timer/dist/timer-upkeep.js' },
    find: 'Math.min(Math.max(SWEEP_MIN_MS, SWEEP_PAUSES * tookMs), SWEEP_MAX_MS)',
    replace: 'Math.max(SWEEP_MIN_MS, SWEEP_PAUSES * tookMs)',
  },
  'busy-loop-on-locked-timer': {
    what: 'a due timer that somebody else has locked is tried again without a pause',
    simulator: 'timers',
    at: { file: 'timer/dist/timer-service.js' },
    find: 'if (this.#emptyClaims === 1)',
    replace: 'if (true)',
  },
  'claim-unlocked': ofModel('timers', 'claim-without-locks', 'two processes claim the same timers'),
  'never-hand-over': {
    what: 'an owner ignores that its partition is promised to another member',
    simulator: 'membership',
    at: { file: 'log/dist/postgres/group-membership.js' },
    find: 'else if (row.targetId !== null)',
    replace: 'else if (false)',
  },
  'rebalance-unlocked': {
    what: 'a rebalance does not take the lock of the group',
    simulator: 'membership',
    at: { file: 'log/dist/postgres/group-membership.js' },
    find: 'await connection.run(lockGroup, this.groupId);',
    replace: '',
  },
  'dead-members-stay': {
    what: 'expired members are not removed',
    simulator: 'membership',
    at: { file: 'log/dist/postgres/group-membership.js' },
    find: 'await connection.run(removeExpiredMembers, this.groupId);',
    replace: '',
  },
  'assign-takes': ofModel('membership', 'assign-takes', 'a rebalance takes partitions from living owners'),
  'skip-in-progress': {
    what: 'the relay forgets the transactions that were in progress at its cursor',
    simulator: 'relay',
    at: { file: 'outbox/dist/relay/difference-reader.js' },
    find: "a.xip === ''",
    replace: 'true',
  },
  'read-from-the-start': {
    what: 'the relay does not leave out what its cursor shows already',
    simulator: 'relay',
    at: { file: 'outbox/dist/relay/difference-reader.js' },
    find: "where xid >= '${a.xmax}'",
    replace: "where xid >= '0'",
  },
  'window-over-a-full-pass': {
    what: 'a window counts as moved although the pass was full before its end',
    simulator: 'relay',
    at: { file: 'outbox/dist/relay/pass.js' },
    find: 'complete ? span.window.upTo : lastId',
    replace: 'span.window.upTo',
  },
  'alarm-by-a-later-note': {
    what: "the log's answer is compared with what was noted after it",
    simulator: 'relay',
    at: { file: 'outbox/dist/relay/hand-over.js' },
    find: 'state.n < before.confirmedN',
    replace: 'state.n < newest.confirmedN',
  },
  'passes-unnumbered': ofModel('relay', 'no-numbers', 'the log takes whatever pass comes'),
  'empty-unanswered-passes': ofModel(
    'relay',
    'empty-unanswered',
    'a slot of the outbox is emptied before the log has answered',
  ),
  'two-relays': ofModel('relay', 'no-relay-lock', 'two relays work at the same time'),
  'empty-a-slot-early': ofModel(
    'relay',
    'check-before-lock',
    'a slot is emptied by what was seen before its lock',
  ),
};
