import type { SagaDetail, SagaEvent, SagaOutput } from '@waybill/saga';

/** The timeline of a saga, line by line: its state, its steps and each of its transitions. For errors of tests. */
export function sagaStory(saga: SagaDetail): string {
  const { id, type, key, state, reason, instance, timeline, unreadable } = saga;
  const lines = [`saga ${type} ${key} (${id}) is ${state}${reason === null ? '' : `: ${reason}`}`];
  if (unreadable !== null) return [...lines, `  its content is encrypted: ${unreadable}`].join('\n');
  for (const [name, step] of Object.entries(instance.steps)) {
    const due = step.dueMs === null ? '' : `, due ${step.dueMs} ms after the start`;
    const why = step.reason === undefined ? '' : `: ${step.reason}`;
    lines.push(`  step ${name}: ${step.status}, attempt ${step.attempt}${due}${why}`);
  }
  for (const call of saga.calls)
    lines.push(`  call ${call.step} ${call.op} to ${call.host}: ${call.state}, tries ${call.tries}`);
  for (const { elapsedMs, state: after, events, outputs } of timeline) {
    lines.push(`  +${elapsedMs} ms  ${after}`);
    for (const event of events) lines.push(`    <- ${eventText(event)}`);
    for (const output of outputs) lines.push(`    -> ${outputText(output)}`);
  }
  return lines.join('\n');
}

function eventText(event: SagaEvent): string {
  const parts: (string | undefined)[] = [event.type];
  if ('step' in event) parts.push(event.step);
  if ('name' in event) parts.push(event.name);
  if ('op' in event) parts.push(event.op);
  if ('undo' in event && event.undo) parts.push('undone');
  if ('status' in event) parts.push(event.status);
  if ('state' in event) parts.push(event.state);
  if ('error' in event && event.error !== undefined) parts.push(`(${event.error})`);
  return parts.filter((part) => part !== undefined).join(' ');
}

function outputText(output: SagaOutput): string {
  const parts: (string | undefined)[] = [output.type];
  if ('step' in output) parts.push(output.step);
  if ('op' in output) parts.push(output.op, `attempt ${output.attempt}`);
  if ('undo' in output && output.undo) parts.push('undo');
  if ('topic' in output) parts.push(`to ${output.topic}`);
  if ('why' in output) parts.push(`(${output.why})`);
  return parts.filter((part) => part !== undefined).join(' ');
}
