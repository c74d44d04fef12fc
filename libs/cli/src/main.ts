#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { isWaybillError } from '@waybill/kernel';
import { CommanderError } from 'commander';
import { createProgram } from './program.js';

// Where the database's address stands beside the application; the environment goes before it.
if (existsSync('.env')) process.loadEnvFile();

try {
  await createProgram({ write: (text) => process.stdout.write(printable(text)) }).parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode;
  } else {
    const text = isWaybillError(error) ? `${error.code}: ${error.message}` : String(error);
    process.stderr.write(`waybill: ${printable(text)}\n`);
    process.exitCode = 1;
  }
}

/** Text from a database may hold escape sequences that a terminal would act on. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) =>
    character === '\n' || character === '\t' ? character : '\u{fffd}',
  );
}
