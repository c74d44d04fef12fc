import { groupBy } from './group-by.js';
import type { Evidence, Violation } from './evidence.js';

/**
 * No effect of a fenced owner. At the commit of an effect, a deferred trigger reads which member owns the effect's partition at
 * that moment: the fence has locked that row until the commit, so that it cannot change in between. The rule: that member is one
 * of the process that wrote the effect.
 *
 * In addition an epoch has one owner: the effects of a partition in one owner epoch come from one process.
 */
export function checkOwners({ owned }: Evidence): Violation[] {
  const foreign = owned
    .filter(({ owner, writer }) => owner !== writer)
    .map(({ group, partition, n, ownerEpoch, owner, writer }) => ({
      rule: 'no effect of a fenced owner',
      what: `${writer} committed message ${n} in ${group}[${partition}], which ${owner ?? 'no member'} owned (epoch ${ownerEpoch})`,
    }));
  const shared: Violation[] = [];
  const epochs = groupBy(
    owned,
    ({ group, partition, ownerEpoch }) => `${group}[${partition}] epoch ${ownerEpoch}`,
  );
  for (const [epoch, effects] of epochs) {
    const writers = new Set(effects.map(({ writer }) => writer));
    if (writers.size > 1)
      shared.push({
        rule: 'an owner epoch has one owner',
        what: `in ${epoch} effects were written by ${[...writers].join(', ')}`,
      });
  }
  return [...foreign, ...shared];
}
