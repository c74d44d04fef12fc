import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { describeError, isWaybillError } from '@waybill/kernel';
import { CommanderError } from 'commander';
import { line } from './output/line.js';
import { createProgram } from './create-program.js';

const ENVIRONMENT = '.env';

/** Runs what the command line of this process says, and sets its exit code. */
export async function runCommandLine(): Promise<void> {
  // `waybill … | head` closes its end when it has seen enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  try {
    readEnvironment();
    warnOfPasswords(process.argv.slice(2));
    await createProgram({ write: (text) => process.stdout.write(printable(text)) }).parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode;
      return;
    }
    const text = isWaybillError(error) ? `${error.code}: ${error.message}` : describeError(error);
    process.stderr.write(line`waybill: ${text}`);
    process.exitCode = 1;
  }
}

/**
 * Where the database's address stands beside the application; the environment goes before it. Editors of Windows put a mark
 * before the first name.
 */
function readEnvironment(): void {
  if (!existsSync(ENVIRONMENT)) return;
  const text = readFileSync(ENVIRONMENT, 'utf8').replace(/^\u{feff}/u, '');
  for (const [name, value] of Object.entries(parseEnv(text))) process.env[name] ??= value;
}

/** What stands on a command line can be read by everybody who may list the processes of the machine. */
function warnOfPasswords(words: readonly string[]): void {
  const text = words.find((word) => /\b[a-z]+:\/\/[^/\s]*:[^/\s]+@|[?&]password=/i.test(word));
  if (text === undefined) return;
  process.stderr.write(
    'waybill: warning: a password on the command line can be read by everybody who may list the processes of this ' +
      'machine. Give the URL by DATABASE_URL (REDIS_URL for Redis), --database-url-file, or PGHOST and PGPASSWORD.\n',
  );
}

/** Text from a database may hold escape sequences that a terminal would act on. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) =>
    character === '\n' || character === '\t' ? character : '\u{fffd}',
  );
}
