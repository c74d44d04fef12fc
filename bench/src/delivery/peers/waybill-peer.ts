import { type Handler, resolveSubscription } from '@waybill/consumer';
import type pg from 'pg';
import { Connected } from '../../place.js';
import { Drain } from '../../outbox/drain.js';
import { migrate } from '@waybill/schema';
import { Waybill } from '@waybill/nestjs';
import { type Handled, INSERT_EFFECT, keyOf, payloadOf, type Peer, type Work } from '../peer.js';

const TOPIC = 'orders.placed';
const FILL = `
  insert into waybill.outbox (message_id, topic, key, payload)
  select gen_random_uuid(), $1, 'order-' || n % 500,
         convert_to(json_build_object('n', n, 'text', repeat('x', 180))::text, 'UTF8')
    from generate_series(0, $2::integer - 1) n`;
const silent = {
  debug() {},
  info() {},
  warn: (message: string) => console.error(message),
  error: (message: string) => console.error(message),
};

/** Waybill without options: publishing and relay in the producers' process, the group in the consumer's. */
export const waybillPeer: Peer = {
  async prepare(url) {
    await migrate({ connectionString: url });
    const connected = new Connected({ service: url, bus: url });
    await connected.log.topics.create(TOPIC, { partitions: 4 }).finally(() => connected.close());
  },

  async produce(url) {
    const waybill = new Waybill('producer', { database: { connectionString: url }, logger: silent });
    await waybill.start();
    const { outbox } = waybill;
    return {
      publish: (client, n) => outbox.publish(client, { topic: TOPIC, key: keyOf(n), payload: payloadOf(n) }),
      stop: () => waybill.stop(),
    };
  },

  async fill(url, messages) {
    const drain = await Drain.open({ service: url, bus: url });
    await drain.connected.database.pool.query(FILL, [TOPIC, messages]);
    await drain.run(messages).finally(() => drain.close());
  },

  async consume(url, work, handled) {
    const waybill = new Waybill('consumer', {
      database: { connectionString: url },
      group: 'bench',
      relay: false,
      logger: silent,
    });
    await waybill.consume({ subscriptions: [resolveSubscription(TOPIC, handlerOf(work, handled))] });
    return () => waybill.stop();
  },
};

function handlerOf(work: Work, handled: Handled): Handler {
  return async ({ payload, transaction }) => {
    const { n } = payload as { n: number };
    if (work === 'insert') await (transaction as pg.PoolClient).query(INSERT_EFFECT, [n]);
    handled(n);
  };
}
