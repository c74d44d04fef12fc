/** What one check of `waybill doctor` has found. Only a problem makes the command fail. */
export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'problem';
  readonly text: string;
  /** What to do about it; undefined where nothing is to be done. */
  readonly advice?: string;
}

/** The finding that all is well. */
export function ok(check: string, text: string): Finding {
  return { check, state: 'ok', text };
}

/** Something that keeps Waybill from working, or will. */
export function problem(check: string, text: string, advice: string): Finding {
  return { check, state: 'problem', text, advice };
}

/** Something that may be meant so. */
export function warning(check: string, text: string, advice: string): Finding {
  return { check, state: 'warning', text, advice };
}
