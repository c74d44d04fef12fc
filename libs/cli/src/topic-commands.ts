import { type Topic, Topics, type TopicOptions, type TopicSettings } from '@waybill/log';
import type { Command } from 'commander';
import { type Output, wholeNumber, withDatabase } from './target.js';

/** `waybill topic list | create | set`. */
export function addTopicCommands(program: Command, output: Output): void {
  const topic = program.command('topic').description('lists, creates and changes topics');
  const print = ({ name, partitionIds, retentionMs, onDeadLetter, onExpired }: Topic): void =>
    output.write(
      `${name}  ${partitionIds.length} partitions  retention ${retentionMs} ms  ` +
        `on dead letter ${onDeadLetter}  on expired ${onExpired}\n`,
    );
  topic
    .command('list')
    .description('lists the topics')
    .action(() =>
      withDatabase(program, async ({ session }) => {
        for (const known of await new Topics(session).list()) print(known);
      }),
    );
  withSettings(topic.command('create').argument('<name>'))
    .option('--partitions <n>', 'number of partitions (default 4)', wholeNumber)
    .description('creates a topic; one that exists is left as it is')
    .action((name: string, options: TopicOptions) =>
      withDatabase(program, async ({ session }) => print(await new Topics(session).create(name, options))),
    );
  withSettings(topic.command('set').argument('<name>'))
    .description('changes settings of a topic; consumers take them up when they open a partition')
    .action((name: string, settings: TopicSettings) =>
      withDatabase(program, async ({ session }) =>
        print(await new Topics(session).configure(name, settings)),
      ),
    );
}

function withSettings(command: Command): Command {
  return command
    .option('--retention-ms <n>', 'how long records are kept (default 7 days)', wholeNumber)
    .option(
      '--on-dead-letter <what>',
      'what waits behind a dead letter: unblock nothing (default), park its key, block its partition',
    )
    .option('--on-expired <what>', 'what becomes of a message past its time: dead-letter (default), drop');
}
