/** A member of a group and what it wants to consume. */
export interface MemberSubscription {
  readonly memberId: string;
  readonly topics: readonly string[];
}

/**
 * Kafka's range assignor: topic by topic, each subscribed member (by id) gets a run of neighbouring partitions; the
 * first members get one more when the numbers do not divide.
 *
 * @param partitionsOf partition ids of each topic, by number
 * @returns the member of each partition id; partitions that nobody subscribes to are absent
 */
export function assignRange(
  members: readonly MemberSubscription[],
  partitionsOf: ReadonlyMap<string, readonly number[]>,
): Map<number, string> {
  const assignment = new Map<number, string>();
  for (const [topic, partitionIds] of partitionsOf) {
    const subscribed = members
      .filter((member) => member.topics.includes(topic))
      .toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1));
    if (subscribed.length === 0) continue;
    const share = Math.floor(partitionIds.length / subscribed.length);
    const larger = partitionIds.length % subscribed.length;
    let next = 0;
    subscribed.forEach((member, index) => {
      for (let taken = 0; taken < share + (index < larger ? 1 : 0); taken += 1) {
        assignment.set(partitionIds[next] as number, member.memberId);
        next += 1;
      }
    });
  }
  return assignment;
}
