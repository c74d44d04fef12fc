/** What names a step, a type of sagas, a signal, an attribute. */
export const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/;
export const NAME_RULE = 'must be 1 to 100 of A-Z a-z 0-9 . _ -, and begin with none of . and -';

/** The step that tells of the end. It stands in no definition. */
export const END_STEP = 'onEnd';
