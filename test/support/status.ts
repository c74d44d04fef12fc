import { createProgram } from '@waybill/cli';

/** A page of `waybill status --json`, as far as tests look at it. */
export interface StatusPage {
  readonly at: string;
  readonly state: string;
  readonly sections: readonly {
    readonly section: string;
    readonly state: string;
    readonly text: string;
    readonly advice?: string;
    readonly figures: unknown;
  }[];
  readonly holdUps: readonly (Record<string, unknown> & {
    readonly kind: string;
    readonly where: string;
    readonly state: string;
    readonly text: string;
    readonly advice: string;
    readonly pid?: number;
  })[];
  readonly hidden: readonly string[];
}

/** Runs `waybill status` in this process; returns what it prints, and its exit code. */
export async function statusText(
  urls: readonly string[],
  ...options: readonly string[]
): Promise<{ readonly text: string; readonly code: number }> {
  let text = '';
  const [database = '', bus] = urls;
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    await createProgram({ write: (part) => (text += part) }).parseAsync(
      ['--database-url', database, ...(bus === undefined ? [] : ['--bus-url', bus]), 'status', ...options],
      { from: 'user' },
    );
    return { text, code: Number(process.exitCode ?? 0) };
  } finally {
    process.exitCode = before;
  }
}

/** The page as programs read it. */
export async function statusOf(urls: readonly string[], ...options: readonly string[]): Promise<StatusPage> {
  return JSON.parse((await statusText(urls, '--json', ...options)).text) as StatusPage;
}

/** One section of a page. */
export function sectionOf(page: StatusPage, name: string): StatusPage['sections'][number] {
  const found = page.sections.find(({ section }) => section === name);
  if (found === undefined) throw new Error(`the page has no section ${name}: ${JSON.stringify(page)}`);
  return found;
}
