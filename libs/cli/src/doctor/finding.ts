/** The result of one check of `waybill doctor`. Only a problem makes the command fail. */
export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'problem';
  readonly text: string;
  /** What to do about it; undefined if there is nothing to do. */
  readonly advice?: string;
}

/** The result of a successful check. */
export function ok(check: string, text: string): Finding {
  return { check, state: 'ok', text };
}

/** Something that keeps Waybill from working, or will. */
export function problem(check: string, text: string, advice: string): Finding {
  return { check, state: 'problem', text, advice };
}

/** Something that may be intended. */
export function warning(check: string, text: string, advice: string): Finding {
  return { check, state: 'warning', text, advice };
}
