/**
 * The part of Standard Schema 1 (standardschema.dev) that is used here; zod, valibot, arktype and others implement it.
 * Only types, so that none of them is required.
 */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** The result of a validation. */
export type StandardResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly StandardIssue[] };

/** One problem of a value. */
export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Whether it is a schema of a library that implements Standard Schema. (Those of arktype are functions.) */
export function isStandardSchema(given: unknown): given is StandardSchemaV1 {
  if ((typeof given !== 'object' && typeof given !== 'function') || given === null) return false;
  const standard = (given as Partial<StandardSchemaV1>)['~standard'];
  return typeof standard?.validate === 'function';
}
