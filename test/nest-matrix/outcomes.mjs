/** The possible results of a row: of its event, and of its request. */

/** What the caller gets for a failure whose details it must not see: a code. */
const withheld = (errorClass, code = 'INTERNAL') =>
  errorClass.endsWith('RetryableError')
    ? {
        name: errorClass,
        code: errorClass === 'RetryableError' ? 'HANDLER_RETRYABLE' : 'HANDLER_NOT_RETRYABLE',
      }
    : { name: 'InternalError', code };

/** Three attempts, then a dead letter; a request gets that as its reply. */
export const spent = (errorClass, errorMessage, more) => {
  const died = {
    outcome: 'dead letter',
    reason: 'attempts-spent',
    attempts: 3,
    errorClass,
    errorMessage,
    effects: 0,
  };
  return {
    event: died,
    request: {
      ...died,
      answer:
        more?.httpStatus === undefined
          ? { status: 'failed', ...withheld(errorClass, more?.code) }
          : { status: 'failed', name: errorClass, message: errorMessage, ...more },
    },
  };
};

/** A dead letter at once. */
export const refused = (errorClass, errorMessage, reason = 'not-retryable') => {
  const died = { outcome: 'dead letter', reason, attempts: 1, errorClass, errorMessage, effects: 0 };
  return {
    event: died,
    request: { ...died, answer: { status: 'failed', ...withheld(errorClass) } },
  };
};

/** An event fails as usual; a request gets its reply at once, with nothing written and no dead letter. */
export const answered = (event, answer) => ({
  event,
  request: { outcome: 'answered', effects: 0, answer: { status: 'rejected', ...answer } },
});

/** It takes effect, and a request gets a value as its reply. */
export const done = (effects, value = null, attempts = 1) => ({
  event: { outcome: 'done', effects, calls: attempts },
  request: { outcome: 'answered', effects, calls: attempts, answer: { value } },
});
