/** A text of the product that is replaced while it is loaded, or in functions of the database. */
export interface Planting {
  /** The compiled file, from `libs`; or the database function. */
  readonly at: { readonly file: string } | { readonly sqlFunction: string };
  readonly find: string;
  readonly replace: string;
}

/** What every planted bug says of itself. */
export interface Bug {
  /** What it breaks, in words. */
  readonly what: string;
  /** The rules that it breaks. It is caught when one of them is reported; others may be broken in consequence, or by chance. */
  readonly rules: readonly string[];
}

/** A bug that is planted under load. */
export interface Mutant extends Planting, Bug {
  /** The faults under which it shows. */
  readonly faults: readonly string[];
  /** How the names of the processes begin that faults hit: a short run would miss them otherwise. Default: all processes. */
  readonly victims?: string;
}

/** A planted bug that does not fit the product any more: it has to be planted elsewhere, or in other words. */
export class StaleMutantError extends Error {}

/** A text with a planting in it. @throws StaleMutantError when the text to replace is not there */
export function plant({ at, find, replace }: Planting, text: string): string {
  if (!text.includes(find))
    throw new StaleMutantError(
      `${'file' in at ? at.file : at.sqlFunction} does not contain ${JSON.stringify(find)}: plant the bug elsewhere`,
    );
  return text.replaceAll(find, () => replace);
}
