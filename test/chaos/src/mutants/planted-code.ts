import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { plant, type Planting, StaleMutantError } from './mutant.js';

const LIBS = fileURLToPath(new URL('../../../../libs', import.meta.url));
const OPTIONS: ts.CompilerOptions = {
  allowJs: true,
  checkJs: true,
  noLib: true,
  noResolve: true,
  types: [],
  target: ts.ScriptTarget.ESNext,
  module: ts.ModuleKind.ESNext,
};
/** "Cannot find name" and its variants, which propose another one. */
const UNKNOWN_NAME: ReadonlySet<number> = new Set([2304, 2552, 2663, 18004]);
/** "Property does not exist", and its variant. */
const UNKNOWN_PROPERTY: ReadonlySet<number> = new Set([2339, 2551]);

/** A planting in a compiled file. */
export interface CodePlanting extends Planting {
  readonly at: { readonly file: string };
}

/**
 * Checks that the planted file is JavaScript, and knows the names that it uses; and lets its planted functions report it when
 * they throw because the rest of the product has changed: the first broken rule would count as the bug's otherwise.
 * @param reports the file that reports are added to ({@link reportPlanted})
 * @param libs the folder of the libraries. Default: the product's
 * @returns the whole file, to be planted instead of the text
 * @throws StaleMutantError
 */
export function guardPlanting(planting: CodePlanting, reports: string, libs: string = LIBS): CodePlanting {
  const path = join(libs, planting.at.file);
  const text = readFileSync(path, 'utf8');
  const planted = plant(planting, text);
  let found = problemsOf(path, planted);
  if (found.size > 0) {
    const known = problemsOf(path, text);
    found = new Set([...found].filter((problem) => !known.has(problem)));
  }
  if (found.size > 0)
    throw new StaleMutantError(
      `${planting.at.file} does not compile with the planted code (${[...found].join('; ')}): adapt its replacement`,
    );
  return { ...planting, find: text, replace: guardFunctions(path, planted, planting, text, reports) };
}

/** What a JavaScript file cannot be loaded with, or names that it does not declare. Types and imports are not looked at. */
function problemsOf(path: string, text: string): Set<string> {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS);
  const host: ts.CompilerHost = {
    getSourceFile: (name) => (name === path ? source : undefined),
    fileExists: (name) => name === path,
    readFile: () => undefined,
    writeFile: () => {},
    getDefaultLibFileName: () => 'none',
    getCurrentDirectory: () => '/',
    getCanonicalFileName: (name) => name,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => '\n',
  };
  const program = ts.createProgram({ rootNames: [path], options: OPTIONS, host });
  const unknown = program.getSemanticDiagnostics(source).filter((one) => isUnknown(source, one));
  return new Set(
    [...program.getSyntacticDiagnostics(source), ...unknown].map(({ messageText }) =>
      ts.flattenDiagnosticMessageText(messageText, ' '),
    ),
  );
}

/** Whether a name is neither declared nor global, or is no member of its own class. */
function isUnknown(source: ts.SourceFile, { code, start = 0, length = 0 }: ts.Diagnostic): boolean {
  const name = source.text.slice(start, start + length);
  if (UNKNOWN_NAME.has(code)) return !(name in globalThis);
  return (
    UNKNOWN_PROPERTY.has(code) && (name.startsWith('#') || source.text.slice(0, start).endsWith('this.'))
  );
}

/** Lets each function that contains planted text, or is planted, report what it throws. */
function guardFunctions(
  path: string,
  planted: string,
  { at, find, replace }: CodePlanting,
  text: string,
  reports: string,
): string {
  const parts = text.split(find);
  let end = 0;
  const places = parts.slice(0, -1).map((part) => {
    const start = end + part.length;
    end = start + replace.length;
    return { start, end };
  });
  const report = `catch (thrown) { reportPlanted(thrown, ${JSON.stringify(at.file)}, ${JSON.stringify(reports)}); throw thrown; }`;
  const insertions: { readonly at: number; readonly text: string }[] = [];
  const visit = (node: ts.Node): void => {
    ts.forEachChild(node, visit);
    const body = ts.isFunctionLike(node) && 'body' in node ? (node.body as ts.Node | undefined) : undefined;
    if (body === undefined) return;
    const [from, to] = [body.getStart(), body.getEnd()];
    if (!places.some((place) => from <= place.end && place.start <= to)) return;
    insertions.push(
      ...(ts.isBlock(body)
        ? [
            { at: from + 1, text: ' try {' },
            { at: to - 1, text: `} ${report} ` },
          ]
        : [
            { at: from, text: '{ try { return (' },
            { at: to, text: `); } ${report} }` },
          ]),
    );
  };
  visit(ts.createSourceFile(path, planted, ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS));
  let guarded = '';
  let copied = 0;
  // Of insertions at one place, an inner function's comes first: the sort keeps their order.
  for (const insertion of insertions.toSorted((a, b) => a.at - b.at)) {
    guarded += planted.slice(copied, insertion.at) + insertion.text;
    copied = insertion.at;
  }
  return guarded + planted.slice(copied);
}
