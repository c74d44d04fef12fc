import { type PgDatabase } from '@waybill/kernel';
import { nearestName } from '@waybill/kernel/internal';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { groupBacklogs, listGroups, unsubscribedTopics } from '@waybill/log/postgres/internal';
import { type Finding, ok, warning } from './finding.js';

/** Maximum number of topics or groups that one line names. */
const SHOWN = 5;

/**
 * Whether published messages are handled: finds topics that no group reads, groups without a process, and missing
 * topics.
 */
export async function checkConsumers(bus: PgDatabase): Promise<Finding> {
  const unread = (await bus.session.run(unsubscribedTopics, 0, SHOWN + 1)).map(({ topic }) => topic);
  const groups = await bus.session.run(listGroups);
  const waiting = new Map<string, number>();
  for (const { groupName, lag } of await bus.session.run(groupBacklogs))
    waiting.set(groupName, (waiting.get(groupName) ?? 0) + lag);
  const still = groups
    .filter(({ groupName, members }) => members === 0 && (waiting.get(groupName) ?? 0) > 0)
    .map(({ groupName }) => `${groupName} (${waiting.get(groupName)} messages)`);
  const topics = (await new PostgresLogEngine(bus, { service: null }).topics.list()).map(({ name }) => name);
  const missing = groups.flatMap(({ groupName, topics: subscribed }) =>
    subscribed.filter((topic) => !topics.includes(topic)).map((topic) => missingOf(groupName, topic, topics)),
  );
  const problems = [
    ...(unread.length === 0 ? [] : [`no group reads ${some(unread)}`]),
    ...(still.length === 0 ? [] : [`no process consumes for ${some(still)}`]),
    ...(missing.length === 0 ? [] : [some(missing)]),
  ];
  if (problems.length === 0)
    return ok('consumers', 'every topic with messages is read, and every group with a lag has a member');
  return warning(
    'consumers',
    problems.join('; '),
    'Start the services that handle them, with their controllers in `controllers`, and correct the topic names.',
  );
}

function missingOf(group: string, topic: string, topics: readonly string[]): string {
  const nearest = nearestName(topic, topics);
  return `${group} subscribes to ${topic}, which does not exist${nearest === undefined ? '' : ` (did you mean ${nearest}?)`}`;
}

function some(names: readonly string[]): string {
  return `${names.slice(0, SHOWN).join(', ')}${names.length > SHOWN ? ', …' : ''}`;
}
