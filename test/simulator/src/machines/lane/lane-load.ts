import { deadLetter, drop, retryIn } from '@waybill/consumer';
import { RecordBatchBuilder, type FetchedBatch } from '@waybill/log';
import type { World } from '../../scheduler/world.js';
import { PARTITION_ID } from './lane-model.js';

/** What a handler does with a message. The first is the simplest. */
export type Mood = 'done' | 'slow' | 'fail' | 'hide' | 'later' | 'drop' | 'set aside' | 'crash';

const MOODS: readonly Mood[] = [
  'done',
  'done',
  'done',
  'done',
  'slow',
  'slow',
  'fail',
  'fail',
  'hide',
  'later',
  'drop',
  'set aside',
];
const KEYS = ['a', 'b', null] as const;
const MOST_MESSAGES = 8;
const batches = new Map<string, Buffer>();

/** The messages of a run, and how their handlers behave. */
export class LaneLoad {
  readonly keys: readonly (string | null)[];
  /** A message whose handler always crashes its process, and one whose handler always fails; -1 for none. */
  readonly #poison: number;
  readonly #hopeless: number;
  /** Messages up to here are in the log; the rest comes later. */
  endOffset: number;
  /** What handlers have asked for, by offset. */
  readonly asked = new Map<number, Set<Mood>>();
  /** Messages whose handler has ended well. */
  readonly succeeded = new Set<number>();
  /** How often handlers have failed, by offset. */
  readonly failures = new Map<number, number>();

  constructor(private readonly world: World) {
    const { choices } = world;
    const count = 1 + choices.below(MOST_MESSAGES);
    this.keys = Array.from({ length: count }, () => choices.oneOf(KEYS));
    this.#poison = choices.rarely(5) ? choices.below(count) : -1;
    this.#hopeless = choices.rarely(5) ? choices.below(count) : -1;
    this.endOffset = count - choices.below(count);
  }

  /** The rest of the messages is appended. */
  appendRest(): void {
    this.endOffset = this.keys.length;
  }

  /** Decides what the handler does this time. */
  moodOf(offset: number): Mood {
    const { choices, isStormy } = this.world;
    const drawn = isStormy ? choices.oneOf(MOODS) : 'done';
    const mood = offset === this.#poison ? 'crash' : offset === this.#hopeless ? 'fail' : drawn;
    const asked = this.asked.get(offset) ?? new Set();
    this.asked.set(offset, asked.add(mood));
    if (mood === 'fail' || mood === 'hide') this.failures.set(offset, (this.failures.get(offset) ?? 0) + 1);
    return mood;
  }

  /** A fetched batch with the one message of an offset. */
  batchAt(offset: number): FetchedBatch {
    const key = this.keys[offset] ?? null;
    const name = `${key} ${offset}`;
    let data = batches.get(name);
    if (data === undefined) {
      const builder = new RecordBatchBuilder(256);
      builder.append(1, key === null ? null : Buffer.from(key), Buffer.from('{}'), []);
      data = builder.build({ baseOffset: offset });
      batches.set(name, data);
    }
    const place = { partitionId: PARTITION_ID, baseOffset: offset, lastOffset: offset, bucketSeq: 1 };
    return { ...place, checksum: offset, data };
  }
}

/** Ends a handler as its mood says, unless it is done. */
export function endHandler(mood: Mood): void {
  if (mood === 'fail') throw new Error('the handler failed');
  if (mood === 'later') throw retryIn(150);
  if (mood === 'drop') throw drop('not wanted');
  if (mood === 'set aside') throw deadLetter('not usable');
}
