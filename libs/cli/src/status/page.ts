import { line } from '../output/line.js';
import type { Output } from '../output/output.js';
import { type Column, writeList } from '../output/table.js';
import type { ConsumerFigures } from './consumer-section.js';
import type { HoldUp } from './hold-up.js';
import type { Status } from './read-status.js';
import type { RingFigures } from './ring-section.js';
import type { State } from './section.js';
import { ageText, bytesText } from './words.js';

/** Maximum number of lines for each of the lists; JSON has all. */
const SHOWN = 20;
const NAME_WIDTH = 13;
const STATE_WIDTH = 7;

const CONSUMER_COLUMNS: readonly Column<ConsumerFigures>[] = [
  { head: 'GROUP', of: ({ group }) => group },
  { head: 'TOPIC', of: ({ topic }) => topic },
  { head: 'LAG', of: ({ lag }) => lag, align: 'right' },
  { head: 'OLDEST', of: ({ oldestWaitingMs: ms }) => (ms === null ? null : ageText(ms)), align: 'right' },
  { head: 'PARTITIONS', of: ({ partitions }) => partitions, align: 'right' },
  { head: 'WITHOUT OWNER', of: ({ withoutOwner }) => withoutOwner, align: 'right' },
  { head: 'LEASE', of: ({ leaseMs: ms }) => (ms === null ? null : ageText(ms)), align: 'right' },
];

const RING_COLUMNS: readonly Column<RingFigures>[] = [
  { head: 'RING', of: ({ ring }) => ring },
  { head: 'PART', of: ({ part }) => part },
  { head: 'SLOTS', of: ({ slots }) => slots, align: 'right' },
  { head: 'EMPTY', of: ({ emptySlots }) => emptySlots, align: 'right' },
  { head: 'SIZE', of: ({ bytes }) => bytesText(bytes), align: 'right' },
  { head: 'THE OLDEST SLOT IS KEPT BY', of: ({ keptBy }) => keptBy },
];

/** Writes the page for people. */
export function writePage(output: Output, status: Status, at: Date): void {
  output.write(line`waybill status at ${at.toISOString()}: ${status.state}`);
  output.write('\n');
  for (const section of status.sections) output.write(entry(section, section.section));
  writeTable(output, figuresOf<ConsumerFigures>(status, 'consumers'), CONSUMER_COLUMNS);
  const filled = figuresOf<RingFigures>(status, 'rings').filter(
    ({ slots, emptySlots }) => emptySlots < slots,
  );
  writeTable(output, filled, RING_COLUMNS);
  output.write('\nWhat holds it up\n');
  if (status.holdUps.length === 0) output.write('  nothing that was found\n');
  for (const holdUp of status.holdUps.slice(0, SHOWN)) output.write(holdUpText(holdUp));
  if (status.holdUps.length > SHOWN)
    output.write(line`and ${status.holdUps.length - SHOWN} more: see --json`);
  for (const text of status.hidden) output.write(line`not seen  ${text}`);
}

function writeTable<Row>(output: Output, rows: readonly Row[], columns: readonly Column<Row>[]): void {
  if (rows.length === 0) return;
  output.write('\n');
  writeList(output, {}, rows.slice(0, SHOWN), columns);
  if (rows.length > SHOWN) output.write(line`and ${rows.length - SHOWN} more: see --json`);
}

function figuresOf<Row>({ sections }: Status, name: string): readonly Row[] {
  return (sections.find(({ section }) => section === name)?.figures ?? []) as readonly Row[];
}

function holdUpText(holdUp: HoldUp): string {
  const query =
    holdUp.query === null || holdUp.query === undefined ? '' : detail(`statement: ${holdUp.query}`);
  const where = holdUp.where === 'both' ? 'service, bus' : holdUp.where;
  const { advice, ...rest } = holdUp;
  return entry(rest, where) + query + detail(`-> ${advice}`);
}

function entry(
  { state, text, advice }: { readonly state: State; readonly text: string; readonly advice?: string },
  name: string,
): string {
  const head = line`${state.padEnd(STATE_WIDTH)}  ${name.padEnd(NAME_WIDTH)}  ${text}`;
  return advice === undefined ? head : head + detail(`-> ${advice}`);
}

function detail(text: string): string {
  return line`${' '.repeat(STATE_WIDTH + NAME_WIDTH + 4)}${text}`;
}
