/** A rule that a run has broken. */
export interface Violation {
  /** The rule, in words: the same for every run that breaks it. */
  readonly rule: string;
  /** What broke it. */
  readonly what: string;
}
