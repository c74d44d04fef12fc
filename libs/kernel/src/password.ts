import { describeThrown } from './thrown.js';

/** A password, or a function that returns one and is called for each new connection: for IAM tokens, or a vault. */
export type Password = string | (() => string | Promise<string>);

/**
 * Calls the service's password function, with a time limit.
 * @throws Error that reports how it failed, without the thrown error's message: that may contain a secret
 */
export async function askPassword(password: Exclude<Password, string>, timeoutMs: number): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`its function did not return within ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  const answered = Promise.resolve()
    .then(password)
    .catch((error: unknown): never => {
      throw new Error(`its function threw ${nameOf(error)}`);
    });
  // One of the two may fail after the other has settled the race.
  late.catch(() => {});
  answered.catch(() => {});
  try {
    const given: unknown = await Promise.race([answered, late]);
    if (typeof given === 'string' && given !== '' && !given.includes('\0')) return given;
    throw new Error(
      `its function did not return a password, but ${given === '' ? 'an empty text' : typeof given}`,
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
