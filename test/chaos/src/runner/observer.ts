import type { HistoryWriter } from '../history/history-writer.js';
import { TOPIC } from '../load/topic.js';
import type { LogFollower } from './log-follower.js';
import { BANK } from './saga-tables.js';
import type { System } from './system.js';

/** The pace of looks, in milliseconds. */
const EVERY_MS = 250;
const POSITIONS = `
  select g.name as "group", p.number as partition, c.position::integer as position, c.owner_epoch::integer as "ownerEpoch"
    from waybill.topic_partition p
    join waybill.topic t on t.id = p.topic_id
    cross join waybill.consumer_group g
    cross join lateral (select c.position, c.owner_epoch from waybill.consumer_position c
                         where c.group_id = g.id and c.partition_id = p.id
                         order by c.owner_epoch desc, c.position desc limit 1) c
   where t.name = $1`;

interface Position {
  readonly group: string;
  readonly partition: number;
  readonly position: number;
  readonly ownerEpoch: number;
}

/** Records the positions of all groups and the sums of the bank, and follows the log, until it is stopped. */
export class Observer {
  #stopped = false;
  readonly #ended: Promise<void>;

  constructor(
    private readonly system: System,
    private readonly history: HistoryWriter,
    private readonly log: LogFollower,
  ) {
    this.#ended = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#ended;
    // Once more, when nothing moves: what the checkers take for the end.
    await this.#look();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      // The server may be down by a fault: then there is nothing to see.
      await this.#look().catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  }

  async #look(): Promise<void> {
    await this.log.catchUp();
    const { database, local, sagas } = this.system;
    const positions = await Promise.all(
      [database, local].map(({ pool }) => pool.query<Position>(POSITIONS, [TOPIC])),
    );
    const looks = await sagas.pool.query<{ pence: number; poorest: number; fewest: number }>(BANK);
    for (const look of looks.rows) this.history.write({ f: 'bank', ...look });
    for (const { rows } of positions) for (const row of rows) this.history.write({ f: 'position', ...row });
  }
}
