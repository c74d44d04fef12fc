import { LOAD_MUTANTS } from './load-mutants.js';
import type { Mutant } from './mutant.js';

/** The planted bugs, by name. Every one must be caught. */
export const MUTANTS: Readonly<Record<string, Mutant>> = {
  'forget-in-progress': {
    what: 'the relay forgets the transactions that were in progress at its cursor',
    rules: ['nothing committed is lost'],
    faults: ['none'],
    at: { file: 'outbox/dist/relay/difference-reader.js' },
    find: "a.xip === ''",
    replace: 'true',
  },
  'move-twice': {
    what: 'the relay does not leave out what its cursor shows already',
    rules: ['a message is in the log once'],
    faults: ['none'],
    at: { file: 'outbox/dist/relay/difference-reader.js' },
    find: 'where ${inSlots}xid >=',
    replace: "where ${inSlots}xid >= '0'::xid8 or xid >=",
  },
  'no-fence': {
    what: 'the fence lets every owner pass',
    rules: ['no effect of a fenced owner'],
    faults: ['pause', 'block', 'silence'],
    victims: 'consumer',
    at: { sqlFunction: 'fence' },
    find: 'if not found then',
    replace: 'if false then',
  },
  'skip-the-first': {
    what: 'a lane takes the end of what it fetched for its position',
    rules: ['positions skip nothing', 'every message takes effect'],
    faults: ['kill'],
    victims: 'consumer',
    at: { file: 'consumer/dist/lane/lane-window.js' },
    find: 'for (const offset of this.#open.keys())',
    replace: 'for (const offset of [])',
  },
  'overtake-parked': {
    what: 'later messages of a key pass one that waits for its retry',
    rules: ['effects keep the order of a key'],
    faults: ['none'],
    at: { file: 'consumer/dist/parked/parked-queue.js' },
    find: 'return key !== null && this.#queues.has(key);',
    replace: 'return false;',
  },
  'keys-side-by-side': {
    what: 'messages of one key run at the same time',
    rules: ['effects keep the order of a key'],
    faults: ['none'],
    at: { file: 'consumer/dist/lane/lane-window.js' },
    find: 'return key !== null && this.#busyKeys.has(key);',
    replace: 'return false;',
  },
  'acknowledge-failures': {
    what: "a handler's error is swallowed and its message counts as done",
    rules: ['a failed attempt leaves nothing'],
    faults: ['none'],
    at: { file: 'consumer/dist/delivery/handler-calls.js' },
    find: 'throw new RecordFailedError(index, await ownFailure(thrown, session));',
    replace: 'continue;',
  },
  'forget-verdicts': {
    what: 'what a delivery has done is not marked',
    rules: ['a message takes effect once'],
    faults: ['kill'],
    victims: 'consumer',
    at: { file: 'consumer/dist/lane/log-messages.js' },
    find: 'return this.progress.advance(position, marks, committed);',
    replace: 'return plainVerdict([progress.fence()], committed);',
  },
  'loss-is-done': {
    what: 'a delivery whose connection is lost counts as done',
    rules: ['every message takes effect', 'positions skip nothing'],
    faults: ['terminate', 'cut'],
    victims: 'consumer',
    at: { file: 'consumer/dist/delivery/delivery-transaction.js' },
    find: 'return this.#rolledBack(error, records, underWay, runningAt);',
    replace: `if (error instanceof TransactionLostError) {
        (verdict ?? verdicts(records, new Set())).committed();
        return { done: records, dropped: new Map(), handledMs: 0 };
      }
      return this.#rolledBack(error, records, underWay, runningAt);`,
  },
  'cursor-behind': {
    what: 'a pass is stored as if it led to where it began',
    rules: ['a message is in the log once'],
    faults: ['none'],
    at: { sqlFunction: 'relay_intend' },
    find: 'after_token, new_base, new_target,',
    replace: 'after_token, new_base, new_base,',
  },
  'offsets-restart': {
    what: 'an append takes the offset of the last record instead of the next',
    rules: ['readers agree on offsets'],
    faults: ['none'],
    at: { sqlFunction: 'log_next_offset' },
    find: 'select b.last_offset + 1 into found_offset',
    replace: 'select b.last_offset into found_offset',
  },
  ...LOAD_MUTANTS,
};
