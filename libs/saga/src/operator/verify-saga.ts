import { NotFoundError } from '@waybill/kernel';
import type { SagaDefinition } from '../definition/saga-definition.js';
import type { SagaOutput } from '../machine/saga-event.js';
import { doneOf } from '../machine/void-output.js';
import type { SagaTimelineEntry } from './saga-operations.js';
import { nextTransition, newInstance } from '../machine/next-transition.js';

/** A recorded saga: every transition, including its start. */
export interface RecordedSaga {
  readonly id: string;
  readonly type: string;
  readonly version: number;
  readonly key: string;
  /** When it started; needed when a step sleeps until an instant. */
  readonly startedAt?: Date | string;
  readonly timeline: readonly Pick<SagaTimelineEntry, 'revision' | 'nowMs' | 'events' | 'outputs'>[];
}

/** The first difference between a definition and the recorded saga. */
export interface SagaDifference {
  readonly sagaId: string;
  readonly revision: number;
  /** What was done, and what the definition would do: `reserve/action#1`, `local confirm`. */
  readonly recorded: readonly string[];
  readonly now: readonly string[];
}

/**
 * Replays a recorded saga with a definition, without a server, and finds the first point where it would have done
 * something else. Use it before you deploy a changed definition under the same version.
 *
 * @throws NotFoundError when the record does not hold its start
 */
export function verifySaga(definition: SagaDefinition, recorded: RecordedSaga): SagaDifference | undefined {
  const start = recorded.timeline.flatMap(({ events }) => events).find(({ type }) => type === 'start');
  if (start?.type !== 'start') throw new NotFoundError(`start in the record of saga ${recorded.id}`);
  const { id, key } = recorded;
  const startedAtMs = recorded.startedAt === undefined ? 0 : new Date(recorded.startedAt).getTime();
  const { data, deadlineMs } = start;
  let instance = newInstance(definition, { id, key, data, deadlineMs, startedAtMs });
  for (const { revision, events, outputs, nowMs } of recorded.timeline) {
    const now: SagaOutput[] = [];
    for (const event of events) {
      const transition = nextTransition(definition, instance, event, nowMs);
      instance = transition.instance;
      now.push(...transition.outputs);
    }
    const done = doneOf(instance, events, now);
    const [before, after] = [outputs.flatMap(nameOf).toSorted(), done.flatMap(nameOf).toSorted()];
    if (before.join('\n') !== after.join('\n'))
      return { sagaId: recorded.id, revision, recorded: before, now: after };
  }
  return undefined;
}

function nameOf(output: SagaOutput): string[] {
  switch (output.type) {
    case 'command':
      return [
        `${output.step}/${output.op}#${output.attempt} to ${output.topic} ${JSON.stringify(output.payload)}`,
      ];
    case 'local':
      return [`local ${output.step}${output.undo ? ' (undo)' : ''}`];
    case 'child':
      return [`child ${output.childType} ${output.key}`];
    case 'undo-child':
      return [`undo child ${output.step}`];
    case 'reminder':
      return [
        `reminder ${output.number} of ${output.step} to ${output.topic} ${JSON.stringify(output.payload)}`,
      ];
    case 'await-event':
      return [`${output.step} waits for an event of ${output.topic} with ${output.match}`];
    case 'refuse-undo':
      return ['it is not undone'];
    case 'release':
      return [`release ${output.step}`];
    case 'forget-event':
    case 'unawaited':
    case 'ignored':
      return [];
  }
}
