import type { SagaTimelineEntry } from './saga-operations.js';
import type { SagaEvent, SagaOutput } from '../machine/saga-event.js';

/** The part of a saga that its diagram shows. */
export interface SagaToDraw {
  readonly type: string;
  readonly key: string;
  readonly state: string;
  readonly timeline: readonly Pick<SagaTimelineEntry, 'elapsedMs' | 'events' | 'outputs' | 'by'>[];
}

/** A sequence diagram of a saga in the language of Mermaid: its commands, replies and decisions, in order. */
export function sagaDiagram({ type, key, state, timeline }: SagaToDraw): string {
  const participants = new Map<string, string>();
  const lines: string[] = [];
  const participant = (topic: string): string => {
    const known = participants.get(topic);
    if (known !== undefined) return known;
    const alias = `P${participants.size + 1}`;
    participants.set(topic, alias);
    return alias;
  };
  const topics = new Map<string, string>();
  for (const { elapsedMs, events, outputs, by } of timeline) {
    for (const event of events) lines.push(...drawEvent(event, elapsedMs, by, topics, participant));
    for (const output of outputs) lines.push(...drawOutput(output, topics, participant));
  }
  const declared = [...participants].map(([topic, alias]) => `  participant ${alias} as ${plain(topic)}`);
  return [
    'sequenceDiagram',
    `  participant S as ${plain(`${type} ${key}`)}`,
    ...declared,
    ...lines,
    `  note over S: ${state}`,
    '',
  ].join('\n');
}

type Alias = (topic: string) => string;

function drawEvent(
  event: SagaEvent,
  elapsedMs: number,
  by: string | null,
  topics: Map<string, string>,
  participant: Alias,
): string[] {
  const at = `${elapsedMs} ms`;
  switch (event.type) {
    case 'start':
      return [`  note over S: started`];
    case 'reply': {
      const from = participant(topics.get(`${event.step}/${event.op}`) ?? event.step);
      const why = event.error === undefined ? '' : `: ${event.error}`;
      const arrow = event.status === 'done' ? '-->>' : '--x';
      return [`  ${from}${arrow}S: ${plain(`${event.step} ${event.status}${why}, ${at}`)}`];
    }
    case 'local':
      return [`  S->>S: ${plain(`${event.step}${event.undo ? ' undone' : ''} ${event.status}`)}`];
    case 'child':
      return [`  note over S: ${plain(`child ${event.step} is ${event.state}, ${at}`)}`];
    case 'due':
      return [`  note over S: ${plain(`time is up, ${at}`)}`];
    case 'signal':
      return [`  note over S: ${plain(`signal ${event.name}, ${at}`)}`];
    case 'event':
      return [`  note over S: ${plain(`event for ${event.step}, ${at}`)}`];
    case 'unsendable':
      return [`  note over S: ${plain(`${event.step} cannot be sent`)}`];
    case 'retry':
    case 'skip':
    case 'resolve':
    case 'compensate':
    case 'undo':
    case 'turn':
    case 'cancel': {
      const step = 'step' in event ? ` ${event.step}` : '';
      return [`  note over S: ${plain(`${event.type}${step}${by === null ? '' : ` by ${by}`}, ${at}`)}`];
    }
  }
}

function drawOutput(output: SagaOutput, topics: Map<string, string>, participant: Alias): string[] {
  switch (output.type) {
    case 'command': {
      topics.set(`${output.step}/${output.op}`, output.topic);
      const again = output.attempt > 1 ? `, attempt ${output.attempt}` : '';
      return [`  S->>${participant(output.topic)}: ${plain(`${output.step} ${output.op}${again}`)}`];
    }
    case 'child':
      return [`  note over S: ${plain(`child ${output.childType} ${output.key} is started`)}`];
    case 'undo-child':
      return [`  note over S: ${plain(`child of ${output.step} is compensated`)}`];
    case 'reminder':
      return [`  S->>${participant(output.topic)}: ${plain(`${output.step} reminder ${output.number}`)}`];
    case 'refuse-undo':
      return ['  note over S: it has passed its pivot, and is not undone'];
    case 'unawaited':
      return [`  note over S: ${plain(`${output.name} was not awaited`)}`];
    case 'local':
    case 'await-event':
    case 'forget-event':
    case 'release':
    case 'ignored':
      return [];
  }
}

/** Text that cannot end a line of the diagram or start another. */
function plain(text: string): string {
  return text.replaceAll(/[\r\n;#%<>"`{}]/g, ' ').slice(0, 120);
}
