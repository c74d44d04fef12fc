import type { Mutant } from './mutant.js';

const BACKWARD = 'saga/dist/machine/backward.js';
const PARTICIPANT = 'saga/dist/participant/saga-command-server.js';
const LOCAL_DATABASE = 'half-message/dist/local-database.js';

/** Planted bugs in sagas, in the take-over of partitions, in half messages and in timers. */
export const LOAD_MUTANTS: Readonly<Record<string, Mutant>> = {
  'saga-forgets-time-out': {
    what: 'a saga whose command is not answered in time goes on waiting',
    faults: ['none'],
    at: { file: 'saga/dist/machine/next-transition.js' },
    find: "else if (record.status === 'running')",
    replace: 'else if (false)',
  },
  'saga-leaves-unknown': {
    what: 'a step of which it is not known whether it was done is not compensated',
    faults: ['none'],
    at: { file: BACKWARD },
    find: 'if (step.undo === undefined)',
    replace: "if (step.undo === undefined || record.status === 'failed')",
  },
  'saga-compensates-at-once': {
    what: 'all compensations begin at the same time, not one after the other',
    faults: ['none'],
    at: { file: BACKWARD },
    find: '!isClearAfter(draft, index, clear) || ',
    replace: '',
  },
  'saga-skips-compensation': {
    what: 'the step before the last one is not compensated',
    faults: ['none'],
    at: { file: BACKWARD },
    find: 'if (step.undo === undefined)',
    replace: 'if (step.undo === undefined || index === 1)',
  },
  'compensate-twice': {
    what: 'the barrier lets a command that comes again take effect again',
    faults: ['none'],
    at: { sqlFunction: 'barrier_call' },
    find: "then 'duplicate' else 'refused' end",
    replace: "then 'done' else 'refused' end",
  },
  'late-answer-counts': {
    what: 'a participant carries out what its saga has compensated in the meantime',
    faults: ['none'],
    at: { file: PARTICIPANT },
    find: "if (stood !== 'ongoing')",
    replace: 'if (false)',
  },
  'forget-ongoing-effect': {
    what: 'the effect of a command that has not answered yet is not compensated',
    faults: ['none'],
    at: { sqlFunction: 'barrier_bar' },
    find: "return first_reason in ('ongoing', 'rejected')",
    replace: "return first_reason in ('ongoing', 'ongoing-effect', 'rejected') or first_reason = by_op",
  },
  'rejection-keeps-effect': {
    what: 'what a participant wrote before it refused is not rolled back, and its refusal does not get through',
    faults: ['none'],
    at: { file: PARTICIPANT },
    find: 'await session.run(savepoint.goBack);',
    replace: '',
  },
  'take-keeps-epoch': {
    what: 'a partition is taken without a new owner epoch',
    faults: ['pause', 'block', 'rebalance'],
    at: { sqlFunction: 'progress_take' },
    find: 'owner_epoch = o.owner_epoch + 1',
    replace: 'owner_epoch = o.owner_epoch',
  },
  'fence-is-left-out': {
    what: 'what a delivery has done is marked without asking the fence',
    faults: ['pause', 'silence', 'block'],
    at: { file: 'consumer/dist/lane/log-messages.js' },
    find: 'return this.progress.advance(position, marks, committed);',
    replace:
      "return plainVerdict([...marks, progress.mark(records.map(({ offset }) => offset), 'done')], committed);",
  },
  'half-passes-no-barrier': {
    what: 'local work does not pass the barrier, and check-back does not see it',
    faults: ['none'],
    at: { file: LOCAL_DATABASE },
    find: 'return this.#barrier.pass(session, barrierOf(halfId));',
    replace: 'return Promise.resolve();',
  },
  'half-leaves-no-tombstone': {
    what: 'check-back gives up work without preventing it',
    faults: ['none'],
    at: { file: LOCAL_DATABASE },
    find: "barrierOf(halfId), 'rollback', TOMBSTONE_WAIT_MS",
    replace: "{ ...barrierOf(halfId), branch: '01' }, 'rollback', TOMBSTONE_WAIT_MS",
  },
  'timer-early': {
    what: 'a timer is claimed before its time',
    faults: ['none'],
    at: { sqlFunction: 'timer_claim' },
    find: 't.due_at <= now_at',
    replace: "t.due_at <= now_at + interval '300 milliseconds'",
  },
  'timer-stays': {
    what: 'a timer that has fired is not removed',
    faults: ['none'],
    at: { sqlFunction: 'timer_claim' },
    find: 'delete from "waybill".timer t using due d',
    replace: 'update "waybill".timer t set kind = t.kind from due d',
  },
  'timer-fires-alone': {
    what: 'of timers that are claimed together only the first fires',
    faults: ['none'],
    at: { file: 'timer/dist/timer-service.js' },
    find: 'sound.filter((timer) => timer.kind === kind)',
    replace: 'sound.filter((timer) => timer.kind === kind).slice(0, 1)',
  },
};
