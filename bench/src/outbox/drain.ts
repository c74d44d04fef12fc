import { Bell } from '@waybill/kernel';
import { Relay } from '@waybill/outbox';
import type { Report } from '../main.js';
import { Connected, type Place } from '../place.js';
import { median } from '../statistics.js';

const BACKLOG = 200_000;
const PAYLOAD_BYTES = 200;
const PAIRS = 6;

/** Results of {@link measureDrain}. */
export interface DrainFigures {
  readonly perSecond: number;
  readonly heldSnapshotRatio: number;
}

/** A service whose relay drains a backlog into its log. */
export class Drain {
  readonly connected: Connected;
  readonly #relay: Relay;

  private constructor(place: Place) {
    this.connected = new Connected(place);
    const { database, log } = this.connected;
    this.#relay = new Relay({ database, log, bell: new Bell() });
  }

  static async open(place: Place): Promise<Drain> {
    const drain = new Drain(place);
    await drain.connected.log.topics.create('orders.placed', { partitions: 4 });
    return drain;
  }

  /** Fills the outbox with messages of 200 bytes. */
  async fill(messages = BACKLOG): Promise<void> {
    // In parts, as one statement of millions takes gigabytes of memory in no transaction of a service.
    for (let left = messages; left > 0; left -= BACKLOG) {
      await this.connected.database.pool.query(
        `insert into waybill.outbox (message_id, topic, key, payload)
         select gen_random_uuid(), 'orders.placed', 'order-' || i % 5000, convert_to(repeat('x', $2), 'UTF8')
           from generate_series(1, $1) i`,
        [Math.min(left, BACKLOG), PAYLOAD_BYTES],
      );
    }
  }

  /**
   * Lets the relay move what the outbox holds, until all of it is in the log.
   * @returns messages per second
   */
  async run(messages = BACKLOG): Promise<number> {
    const before = this.#relay.moved;
    const started = performance.now();
    do while ((await this.#relay.runOnce()) === 'again');
    while (await this.#hasMore());
    const seconds = (performance.now() - started) / 1000;
    const moved = this.#relay.moved - before;
    if (moved !== messages) throw new Error(`${moved} messages were moved`);
    return messages / seconds;
  }

  /** As {@link run}, while another session holds a snapshot that is older than the messages. */
  async runHeld(messages = BACKLOG): Promise<number> {
    const holder = await this.connected.database.pool.connect();
    try {
      await holder.query('begin isolation level repeatable read');
      await holder.query('select count(*) from waybill.relay_intent');
      await this.fill(messages);
      return await this.run(messages);
    } finally {
      await holder.query('rollback');
      holder.release();
    }
  }

  /** What was sent to the log is answered only later where that is another database. */
  async #hasMore(): Promise<boolean> {
    await this.#relay.drain();
    return (await this.#relay.runOnce()) === 'again';
  }

  close(): Promise<void> {
    return this.connected.close();
  }
}

/**
 * Fills the outbox with 200,000 messages of 200 bytes and lets one relay move them, repeatedly: in turn with
 * nothing else going on, and while another session has held a snapshot since before the messages were written.
 */
export async function measureDrain(place: Place, report: Report): Promise<DrainFigures> {
  const drain = await Drain.open(place);
  try {
    const alone = async (): Promise<number> => {
      await drain.fill();
      return drain.run();
    };
    await alone();
    const free: number[] = [];
    const ratios: number[] = [];
    for (let pair = 0; pair < PAIRS; pair += 1) {
      // Each is first as often as the other, so that a machine that slows down does not bias the result.
      const heldFirst = pair % 2 === 1;
      const before = heldFirst ? await drain.runHeld() : await alone();
      const after = heldFirst ? await alone() : await drain.runHeld();
      const [rate, held] = heldFirst ? [after, before] : [before, after];
      free.push(rate);
      ratios.push(held / rate);
      report(`drain: ${Math.round(rate)} messages/s, ${Math.round(held)} while a snapshot is held`);
    }
    return { perSecond: median(free), heldSnapshotRatio: median(ratios) };
  } finally {
    await drain.close();
  }
}
