/** A text of the product that is replaced while it is loaded, or in functions of the database. */
export interface Planting {
  /** The compiled file, from `libs`; or the database function. */
  readonly at: { readonly file: string } | { readonly sqlFunction: string };
  readonly find: string;
  readonly replace: string;
}

/** A planted bug. */
export interface Mutant extends Planting {
  /** What it breaks, in words. */
  readonly what: string;
  /** The faults under which it shows. */
  readonly faults: readonly string[];
}

/** A text that is not in the product any more: it has to be planted elsewhere. */
export class StaleMutantError extends Error {}

/** A text with a planting in it. @throws StaleMutantError when the text to replace is not there */
export function plant({ at, find, replace }: Planting, text: string): string {
  if (!text.includes(find))
    throw new StaleMutantError(
      `${'file' in at ? at.file : at.sqlFunction} does not contain ${JSON.stringify(find)}: plant the bug elsewhere`,
    );
  return text.replaceAll(find, () => replace);
}
