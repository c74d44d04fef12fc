import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { describeError, isWaybillError } from '@waybill/kernel';
import { CommanderError } from 'commander';
import { line } from './output/line.js';
import type { Output } from './output/output.js';
import { createProgram } from './create-program.js';

const ENVIRONMENT = '.env';

/** Runs the command line of this process and sets its exit code. */
export async function runCommandLine(): Promise<void> {
  // `waybill … | head` closes its input when it has read enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  try {
    readEnvironment();
    warnOfPasswords(process.argv.slice(2));
    await createProgram(standardOutput()).parseAsync();
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

/** Empties the screen, and puts the cursor at its beginning. */
const CLEAR = '\u001b[2J\u001b[3J\u001b[H';

function standardOutput(): Output {
  return {
    write: (text) => process.stdout.write(printable(text)),
    ...(process.stdout.isTTY && { clear: () => process.stdout.write(CLEAR) }),
  };
}

/**
 * Reads the file with the database's address next to the application; environment variables take precedence. Windows
 * editors put a byte order mark before the first name.
 */
function readEnvironment(): void {
  if (!existsSync(ENVIRONMENT)) return;
  const text = readFileSync(ENVIRONMENT, 'utf8').replace(/^\u{feff}/u, '');
  for (const [name, value] of Object.entries(parseEnv(text))) process.env[name] ??= value;
}

/** Every user who may list the processes of the machine can read their command lines. */
function warnOfPasswords(words: readonly string[]): void {
  const text = words.find((word) => /\b[a-z]+:\/\/[^/\s]*:[^/\s]+@|[?&]password=/i.test(word));
  if (text === undefined) return;
  process.stderr.write(
    'waybill: warning: a password on the command line is visible to all users who may list the processes of this ' +
      'machine. Set DATABASE_URL (REDIS_URL for Redis), or PGHOST and PGPASSWORD, or use --database-url-file.\n',
  );
}

/** Text from a database may contain escape sequences that a terminal would execute. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) =>
    character === '\n' || character === '\t' ? character : '\u{fffd}',
  );
}
