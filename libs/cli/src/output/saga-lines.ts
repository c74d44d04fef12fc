import type {
  SagaCallSummary,
  SagaDetail,
  SagaEvent,
  SagaIgnored,
  SagaOutput,
  SagaRefusal,
  SagaSummary,
} from '@waybill/saga';
import type { Column } from './table.js';
import { line } from './line.js';

/** Sagas in a list. */
export const SAGA_COLUMNS: readonly Column<SagaSummary>[] = [
  { head: 'ID', of: ({ id }) => id },
  { head: 'STATE', of: ({ state }) => state },
  { head: 'STARTED', of: ({ startedAt }) => startedAt },
  { head: 'TYPE', of: ({ type, version }) => `${type} v${version}` },
  { head: 'KEY', of: ({ key }) => key },
  { head: 'REVISION', of: ({ revision }) => revision, align: 'right' },
  { head: 'REASON', of: ({ reason }) => reason },
];

export const REFUSAL_COLUMNS: readonly Column<SagaRefusal>[] = [
  { head: 'REFUSED', of: ({ refusedAt }) => refusedAt },
  { head: 'TOPIC', of: ({ replyTopic }) => replyTopic },
  { head: 'PLACE', of: ({ partition, offset }) => `[${partition}]@${offset}` },
  { head: 'SAGA', of: ({ sagaId }) => sagaId },
  { head: 'STEP', of: ({ step }) => step },
  { head: 'MESSAGE', of: ({ messageId }) => messageId },
  { head: 'REASON', of: ({ why }) => why },
];

/** Messages and events that arrived for sagas without an effect. */
export const IGNORED_COLUMNS: readonly Column<
  Omit<SagaIgnored, 'payload'> & { readonly payload?: unknown }
>[] = [
  { head: 'CAME', of: ({ ignoredAt }) => ignoredAt },
  { head: 'SAGA', of: ({ sagaId }) => sagaId },
  { head: 'KIND', of: ({ kind }) => kind },
  { head: 'NAME', of: ({ name }) => name },
  { head: 'REASON', of: ({ why }) => why },
  { head: 'PAYLOAD', of: ({ payload }) => (payload === undefined ? '' : JSON.stringify(payload)) },
];

/** A saga on one line. */
export function summaryLine(saga: SagaSummary): string {
  const { id, state, startedAt, type, version, key, revision, reason } = saga;
  const why = reason === null ? '' : `  ${reason.replaceAll(/\s+/g, ' ')}`;
  return line`${id}  ${state}  ${startedAt.toISOString()}  ${type} v${version}  key ${key}  revision ${revision}${why}`;
}

/** A saga with its steps, its history and what operators did. */
export function detailLines(saga: SagaDetail, payload: boolean): string {
  const lines = [summaryLine(saga)];
  if (saga.parentId !== null) lines.push(line`child of ${saga.parentId}`);
  for (const [name, value] of Object.entries(saga.attributes)) lines.push(line`attribute ${name}=${value}`);
  if (saga.unreadable !== null) lines.push(line`(encrypted; give --cipher) ${saga.unreadable}`);
  else if (payload) lines.push(`data ${JSON.stringify(saga.instance.data)}\n`);
  for (const [name, { status, attempt, dueMs, reason }] of Object.entries(saga.instance.steps)) {
    const due = dueMs === null ? '' : `, due at ${dueMs} ms`;
    const why = reason === undefined ? '' : `: ${reason}`;
    lines.push(line`step ${name}: ${status}, attempt ${attempt}${due}${why}`);
  }
  for (const call of saga.calls) lines.push(line`${callText(call)}`);
  for (const { at, elapsedMs, events, outputs, state, by } of saga.timeline) {
    const operator = by === null ? '' : ` by ${by}`;
    lines.push(line`${at.toISOString()}  +${elapsedMs} ms  ${state}${operator}`);
    for (const event of events) lines.push(line`    ${eventText(event, payload)}`);
    for (const output of outputs) lines.push(line`    ${outputText(output, payload)}`);
  }
  for (const { actedAt, actor, by, action, reason, outcome } of saga.actions) {
    const why = reason === null ? '' : `, ${reason}`;
    lines.push(
      line`${actedAt.toISOString()}  ${by}: ${action}${why}${outcome === null ? '' : ` (${outcome})`} (login ${actor})`,
    );
  }
  return lines.join('');
}

function callText(call: SagaCallSummary): string {
  const { step, op, host, attempt, state, tries, isCalling, nextAt, lastError } = call;
  const next = isCalling ? ', in progress' : nextAt === null ? '' : `, next at ${nextAt.toISOString()}`;
  const why = lastError === null ? '' : `; last: ${lastError}`;
  return `call ${step} ${op} to ${host}: ${state}, attempt ${attempt}, tries ${tries}${next}${why}`;
}

function eventText(event: SagaEvent, payload: boolean): string {
  switch (event.type) {
    case 'reply': {
      const { step, op, attempt, status, error } = event;
      const why = error === undefined ? '' : `: ${error}`;
      return `<- ${step} ${op} attempt ${attempt} ${status}${why}${shown(event.payload, payload)}`;
    }
    case 'local':
      return `<- ${event.step}${event.undo ? ' undone' : ''} ${event.status}${event.error === undefined ? '' : `: ${event.error}`}`;
    case 'signal':
      return `<- signal ${event.name}${shown(event.payload, payload)}`;
    case 'event':
      return `<- event for ${event.step}${shown(event.payload, payload)}`;
    case 'child':
      return `<- child ${event.step} is ${event.state}${event.refused === true ? ', and will not be undone' : ''}`;
    case 'retry':
    case 'skip':
    case 'resolve':
    case 'unsendable':
      return `<- ${event.type} ${event.step}`;
    case 'start':
    case 'due':
    case 'undo':
    case 'compensate':
    case 'cancel':
      return `<- ${event.type}`;
    case 'turn':
      return '<- compensate';
  }
}

function outputText(output: SagaOutput, payload: boolean): string {
  switch (output.type) {
    case 'command':
      return `-> ${output.step} ${output.op} attempt ${output.attempt} to ${output.topic}${shown(output.payload, payload)}`;
    case 'local':
      return `-> ${output.step}${output.undo ? ' undo' : ''} here`;
    case 'child':
      return `-> ${output.step} starts ${output.childType} ${output.key}`;
    case 'undo-child':
      return `-> ${output.step} has its child compensated`;
    case 'reminder':
      return `-> reminder ${output.number} of ${output.step} to ${output.topic}${shown(output.payload, payload)}`;
    case 'await-event':
      return `-> ${output.step} waits for an event of ${output.topic}`;
    case 'forget-event':
      return `-> ${output.step} no longer waits for an event`;
    case 'release':
      return `-> the locks of ${output.step} are released`;
    case 'refuse-undo':
      return '-> it has passed its pivot and will not be undone';
    case 'unawaited':
      return `-- ${output.name} was not awaited: ${output.why}${shown(output.payload, payload)}`;
    case 'ignored':
      return `-- ${output.why}`;
  }
}

function shown(payload: unknown, wanted: boolean): string {
  return wanted && payload !== undefined && payload !== null ? ` ${JSON.stringify(payload)}` : '';
}
