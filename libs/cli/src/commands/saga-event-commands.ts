import { replyTopicOf, SagaEventOperations, type SagaEventWait } from '@waybill/saga/internal';
import type { Command } from 'commander';
import { wholeNumber } from '../arguments/arguments.js';
import { type Column, type ListOptions, listing, writeList } from '../output/table.js';
import { withDatabase } from '../arguments/target.js';
import type { Output } from '../output/output.js';

interface EventListOptions extends ListOptions {
  readonly service?: string;
  readonly limit: number;
}

const EVENT_COLUMNS: readonly Column<SagaEventWait>[] = [
  { head: 'KIND', of: ({ kind }) => kind },
  { head: 'TOPIC', of: ({ topic }) => topic },
  { head: 'WAITER', of: ({ waiter }) => waiter },
  { head: 'VALUE', of: ({ match }) => match },
  { head: 'SAGA', of: ({ sagaId }) => sagaId },
  { head: 'SINCE', of: ({ since }) => since },
  { head: 'UNTIL', of: ({ until }) => until },
  { head: 'FAILURES', of: ({ failures }) => failures, align: 'right' },
];

/** `waybill saga events`: events of other services, and the steps that wait for them. */
export function addSagaEventCommands(program: Command, sagas: Command, output: Output): void {
  listing(sagas.command('events'))
    .description('lists events that wait for a saga, and steps of sagas that wait for an event')
    .option('--service <group>', 'of this service')
    .option('--limit <n>', 'at most this many', wholeNumber, 100)
    .action((options: EventListOptions) =>
      withDatabase(program, async (database) => {
        const topic = options.service === undefined ? undefined : replyTopicOf(options.service);
        const waits = await new SagaEventOperations(database).list(topic, options.limit);
        writeList(output, options, waits, EVENT_COLUMNS);
      }),
    );
}
