import type {
  DeadLetterDetail,
  DeadLetterGroup,
  DeadLetterSummary,
  OperatorAction,
} from '@waybill/dead-letter';
import type { Column } from './table.js';
import type { Output } from './output.js';
import { line, quoted } from './line.js';
import { payloadText } from './payload-text.js';

/** Maximum length of an error message in a list. */
const SHOWN = 100;

/** One dead letter on one line. */
function summaryLine(letter: DeadLetterSummary): string {
  const { id, state, topic, partition, offset, group, key, reason, errorClass, errorMessage } = letter;
  const at = letter.lastFailedAt.toISOString();
  const location = `${topic}[${partition}]@${offset}`;
  const failed = `${reason} after ${letter.attempts} attempts  ${errorClass}: ${shortened(errorMessage)}`;
  return line`${id}  ${state}  ${at}  ${location}  group ${group}  key ${key ?? '-'}  ${failed}`;
}

/** Dead letters in a list. */
export const LETTER_COLUMNS: readonly Column<DeadLetterSummary>[] = [
  { head: 'ID', of: ({ id }) => id, align: 'right' },
  { head: 'STATE', of: ({ state }) => state },
  { head: 'LAST FAILED', of: ({ lastFailedAt }) => lastFailedAt },
  { head: 'MESSAGE', of: ({ topic, partition, offset }) => `${topic}[${partition}]@${offset}` },
  { head: 'GROUP', of: ({ group }) => group },
  { head: 'KEY', of: ({ key }) => key },
  { head: 'REASON', of: ({ reason }) => reason },
  { head: 'ATTEMPTS', of: ({ attempts }) => attempts, align: 'right' },
  { head: 'ERROR', of: ({ errorClass, errorMessage }) => `${errorClass}: ${shortened(errorMessage)}` },
];

/** Kinds of failures in a list. */
export const GROUP_COLUMNS: readonly Column<DeadLetterGroup>[] = [
  { head: 'FINGERPRINT', of: ({ fingerprint }) => fingerprint },
  { head: 'DEAD LETTERS', of: ({ count }) => count, align: 'right' },
  { head: 'LAST FAILED', of: ({ lastFailedAt }) => lastFailedAt },
  { head: 'GROUP', of: ({ group }) => group },
  { head: 'TOPIC', of: ({ topic }) => topic },
  { head: 'HANDLER', of: ({ handler }) => handler },
  { head: 'ERROR', of: ({ errorClass, errorMessage }) => `${errorClass}: ${shortened(errorMessage)}` },
];

/** All details of one dead letter, and its payload if requested. */
export function writeDetail(
  letter: DeadLetterDetail,
  actions: readonly OperatorAction[],
  options: { readonly payload?: boolean },
  output: Output,
): void {
  output.write(summaryLine(letter));
  output.write(line`message ${letter.messageId ?? '-'}  published ${letter.publishedAt.toISOString()}`);
  output.write(
    line`handler ${letter.handler}  fingerprint ${letter.fingerprint}  redriven ${letter.redrives} times`,
  );
  for (const [name, value] of Object.entries(letter.headers)) output.write(line`header ${name}: ${value}`);
  output.write(quoted(letter.errorStack ?? letter.errorMessage));
  for (const { actedAt, actor, by, action, reason } of actions) {
    output.write(
      line`${actedAt.toISOString()}  ${by}: ${action}${reason === null ? '' : `, ${reason}`} (login ${actor})`,
    );
  }
  if (options.payload !== true) return;
  output.write(line`payload:`);
  output.write(line`${payloadText(letter)}`);
}

/** One dead letter as a line of JSON. */
export function exportLine({ payload, ...letter }: DeadLetterDetail): string {
  return `${JSON.stringify({ ...letter, payload: payload?.toString('base64') ?? null })}\n`;
}

function shortened(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line;
}
