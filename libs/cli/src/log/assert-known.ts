import { NotFoundError, type PgDatabase } from '@waybill/kernel';
import { nearestName } from '@waybill/kernel/internal';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { listGroups } from '@waybill/log/postgres/internal';

/** @throws NotFoundError with the nearest existing name */
export function assertKnown(kind: 'group' | 'topic', name: string, known: readonly string[]): void {
  if (known.includes(name)) return;
  const nearest = nearestName(name, known);
  throw new NotFoundError(`${kind} ${name}${nearest === undefined ? '' : ` (did you mean ${nearest}?)`}`);
}

/** Refuses unknown names of groups and topics: a filter by one would silently find nothing. */
export async function assertKnownNames(
  bus: PgDatabase,
  { group, topic }: { readonly group?: string | undefined; readonly topic?: string | undefined },
): Promise<void> {
  if (group !== undefined) {
    const groups = await bus.session.run(listGroups);
    assertKnown(
      'group',
      group,
      groups.map(({ groupName }) => groupName),
    );
  }
  if (topic === undefined) return;
  const topics = await new PostgresLogEngine(bus, { service: null }).topics.list();
  assertKnown(
    'topic',
    topic,
    topics.map(({ name }) => name),
  );
}
