import { resolve } from 'node:path';
import type { Command } from 'commander';
import { applyChanges, type FileChange, planInit } from './init.js';
import type { Output } from '../output/output.js';
import { ownVersion } from '../own-version.js';
import { line } from '../output/line.js';

const DONE = { create: 'created', change: 'changed', keep: 'kept', 'by-hand': 'BY HAND' } as const;
const WOULD = {
  create: 'would create',
  change: 'would change',
  keep: 'keeps',
  'by-hand': 'BY HAND',
} as const;

/** Adds `init`: sets up Waybill in an existing Nest application. */
export function addInitCommand(program: Command, output: Output): void {
  program
    .command('init')
    .argument('[folder]', 'folder of the application', '.')
    .option('--dry-run', 'only shows what would be done')
    .description(
      'adds Waybill to a Nest application: dependencies, module, an example; exits with 1 if something has to be done by hand',
    )
    .action((folder: string, { dryRun = false }: { dryRun?: boolean }) => {
      const path = resolve(folder);
      const changes = planInit(path, ownVersion());
      if (!dryRun) applyChanges(path, changes);
      for (const change of changes) output.write(line`${lineOf(change, dryRun)}`);
      const isLeft = changes.some(({ kind }) => kind === 'by-hand');
      if (isLeft) process.exitCode = 1;
      if (!dryRun && !isLeft) output.write(nextSteps(changes));
    });
}

function lineOf({ path, kind, text }: FileChange, dryRun: boolean): string {
  const done = (dryRun ? WOULD : DONE)[kind];
  return `${done.padEnd(dryRun ? 13 : 8)} ${path}${kind === 'by-hand' ? `: ${text}` : ''}`;
}

function nextSteps(changes: readonly FileChange[]): string {
  if (changes.every(({ kind }) => kind === 'keep')) return 'nothing to do, Waybill is already set up\n';
  return [
    'Next:',
    '  npm install',
    '  edit DATABASE_URL in .env, and keep .env out of the repository',
    '  npm run waybill:migrate',
    '  npm run start, and then: curl -X POST http://localhost:3000/greetings',
    '',
  ].join('\n');
}
