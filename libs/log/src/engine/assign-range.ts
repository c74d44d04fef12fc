/** A member of a group and the topics it consumes. */
export interface MemberSubscription {
  readonly memberId: string;
  readonly topics: readonly string[];
}

/**
 * Kafka's range assignor: topic by topic, each subscribed member (by id) gets a range of consecutive partitions; the
 * first members get one more if the numbers do not divide evenly.
 *
 * @param partitionsOf partition ids of each topic, by number
 * @returns the member of each partition id; partitions without a subscriber are absent
 */
export function assignRange(
  members: readonly MemberSubscription[],
  partitionsOf: ReadonlyMap<string, readonly number[]>,
): Map<number, string> {
  const assignment = new Map<number, string>();
  const byTopic = new Map<string, string[]>();
  const inOrder = members.toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1));
  for (const { memberId, topics } of inOrder) {
    for (const topic of new Set(topics)) {
      const subscribed = byTopic.get(topic);
      if (subscribed === undefined) byTopic.set(topic, [memberId]);
      else subscribed.push(memberId);
    }
  }
  for (const [topic, partitionIds] of partitionsOf) {
    const subscribed = byTopic.get(topic);
    if (subscribed === undefined) continue;
    const share = Math.floor(partitionIds.length / subscribed.length);
    const larger = partitionIds.length % subscribed.length;
    let next = 0;
    subscribed.forEach((memberId, index) => {
      for (let taken = 0; taken < share + (index < larger ? 1 : 0); taken += 1) {
        assignment.set(partitionIds[next] as number, memberId);
        next += 1;
      }
    });
  }
  return assignment;
}
