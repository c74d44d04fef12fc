import { describeThrown } from './thrown.js';

/** A password, or a function that is asked for it whenever a connection is opened: for IAM tokens, or a vault. */
export type Password = string | (() => string | Promise<string>);

/**
 * Asks a function of the service for a password, within its time.
 * @throws Error that says how it failed, and not what it threw: that may hold a secret
 */
export async function askPassword(password: Exclude<Password, string>, timeoutMs: number): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`its function has not answered within ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  const answered = Promise.resolve()
    .then(password)
    .catch((error: unknown): never => {
      throw new Error(`its function threw ${nameOf(error)}`);
    });
  // One of the two may fail long after nobody waits.
  late.catch(() => {});
  answered.catch(() => {});
  try {
    const given: unknown = await Promise.race([answered, late]);
    if (typeof given === 'string' && given !== '' && !given.includes('\0')) return given;
    throw new Error(
      `its function returned no password, but ${given === '' ? 'an empty text' : typeof given}`,
    );
  } finally {
    clearTimeout(timer);
  }
}

function nameOf(error: unknown): string {
  const { name, code } = describeThrown(error);
  const words = [name, code ?? ''].filter((word) => /^[A-Za-z]\w{0,60}$/.test(word));
  return words.join(' ') || 'something';
}
