import { type SagaLock, SagaLockOperations } from '@waybill/saga';
import type { Command } from 'commander';
import { duration, wholeNumber } from '../arguments/arguments.js';
import { line } from '../output/line.js';
import { type Decision, decided, operatorOf } from '../arguments/operator-options.js';
import { type Column, type ListOptions, listing, writeList } from '../output/table.js';
import { withDatabase } from '../arguments/target.js';
import type { Output } from '../output/output.js';

interface LockListOptions extends ListOptions {
  readonly entity?: string;
  readonly olderThan?: number;
  readonly limit: number;
}

const LOCK_COLUMNS: readonly Column<SagaLock>[] = [
  { head: 'ENTITY', of: ({ entity }) => entity },
  { head: 'SAGA', of: ({ sagaId }) => sagaId },
  { head: 'BRANCH', of: ({ branch }) => branch },
  { head: 'HELD SINCE', of: ({ lockedAt }) => lockedAt },
  { head: 'WAITING', of: ({ waiting }) => waiting, align: 'right' },
];

/** `waybill saga locks | unlock`: participants' locks for sagas, in the participant's database. */
export function addSagaLockCommands(program: Command, sagas: Command, output: Output): void {
  listing(sagas.command('locks'))
    .description('lists entities that sagas hold in this database, the oldest first')
    .option('--entity <name>', 'only this one')
    .option('--older-than <duration>', 'held for at least this long, such as 90s or 2h', duration())
    .option('--limit <n>', 'at most this many', wholeNumber, 100)
    .action((options: LockListOptions) =>
      withOperations(program, async (operations) => {
        const { entity, olderThan, limit } = options;
        const held = await operations.list({
          limit,
          ...(entity === undefined ? {} : { entity }),
          ...(olderThan === undefined ? {} : { olderThanMs: olderThan }),
        });
        writeList(output, options, held, LOCK_COLUMNS);
      }),
    );
  decided(sagas.command('unlock').argument('<entity>', 'the entity'))
    .description('releases an entity that a saga holds; commands that wait for it are delivered again')
    .action((entity: string, options: Decision) =>
      withOperations(program, async (operations) => {
        if (options.yes === true) {
          const { sagaId, waiting } = await operations.unlock(entity, operatorOf(options));
          output.write(
            line`${entity} was held by saga ${sagaId} and is released; ${waiting} commands are delivered again`,
          );
          return;
        }
        const [held] = await operations.list({ entity });
        if (held === undefined) output.write(line`no saga holds ${entity}`);
        else output.write(line`would release ${entity}, which saga ${held.sagaId} holds; use --yes to do so`);
      }),
    );
}

function withOperations(
  program: Command,
  work: (operations: SagaLockOperations) => Promise<void>,
): Promise<void> {
  return withDatabase(program, (database) => work(new SagaLockOperations(database)));
}
