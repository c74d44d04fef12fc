import { describeError } from '@waybill/kernel';
import { isConnectionLoss, sqlStateOf } from '@waybill/kernel/internal';

/**
 * `ok`: nothing waits. `waiting`: something waits, and goes on by itself. `stuck`: something does not go on unless a person
 * does something, or could not be read.
 */
export type State = 'ok' | 'waiting' | 'stuck';

/** One section of the page. */
export interface Section<Figures = unknown> {
  readonly section: string;
  readonly state: State;
  readonly text: string;
  /** What to do; undefined if there is nothing to do. */
  readonly advice?: string;
  /** Null if they could not be read. */
  readonly figures: Figures | null;
}

/** Something to say about a section. */
export interface Note {
  readonly state: State;
  readonly text: string;
  readonly advice?: string;
}

const ORDER: readonly State[] = ['ok', 'waiting', 'stuck'];
const LOCK_NOT_AVAILABLE = '55P03';
const NOT_ALLOWED = '42501';

/** The worst of several states; `ok` if there are none. */
export function worst(states: readonly State[]): State {
  return ORDER[Math.max(0, ...states.map((state) => ORDER.indexOf(state)))] as State;
}

/** A section that says `text`, and then each note with what to do. */
export function sectionOf<Figures>(
  section: string,
  text: string,
  notes: readonly Note[],
  figures: Figures | null,
): Section<Figures> {
  const advice = [...new Set(notes.flatMap((note) => note.advice ?? []))].join(' ');
  return {
    section,
    state: worst(notes.map(({ state }) => state)),
    text: [text, ...notes.map((note) => note.text)].filter((part) => part !== '').join('; '),
    ...(advice === '' ? {} : { advice }),
    figures,
  };
}

/**
 * Reads a section. One that cannot be read is stuck, and says why.
 * @throws the loss of the connection: then no other section of that database can be read either
 */
export async function attempt<Figures>(
  section: string,
  read: () => Promise<Section<Figures>>,
): Promise<Section<Figures>> {
  try {
    return await read();
  } catch (error) {
    if (isConnectionLoss(error)) throw error;
    return unreadable(section, whyUnreadable(error));
  }
}

/** A section that could not be read. */
export function unreadable<Figures>(
  section: string,
  { text, advice }: { readonly text: string; readonly advice: string },
): Section<Figures> {
  return { section, state: 'stuck', text, advice, figures: null };
}

function whyUnreadable(error: unknown): { readonly text: string; readonly advice: string } {
  const code = sqlStateOf(error);
  if (code === LOCK_NOT_AVAILABLE)
    return {
      text: 'it cannot be read: another session has locked its tables',
      advice: 'End the session that holds the lock: see "what holds it up".',
    };
  if (code === NOT_ALLOWED)
    return {
      text: `this login may not read it: ${describeError(error)}`,
      advice: 'Give it the role of a monitor, on both parts: waybill grants --role monitor.',
    };
  return { text: `it cannot be read: ${describeError(error)}`, advice: 'Run waybill doctor.' };
}
