/** The form of names of steps, saga types, signals and attributes. */
export const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/;
export const NAME_RULE = 'must be 1 to 100 characters of A-Z a-z 0-9 . _ - and must not begin with . or -';

/** The step that runs `onEnd`. It is in no definition. */
export const END_STEP = 'onEnd';
