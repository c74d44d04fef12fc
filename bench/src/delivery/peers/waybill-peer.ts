import {
  type BatchHandler,
  type Handler,
  resolveBatchSubscription,
  resolveSubscription,
  type Subscription,
} from '@waybill/consumer';
import type pg from 'pg';
import { Connected } from '../../place.js';
import { Drain } from '../../outbox/drain.js';
import { migrate } from '@waybill/schema';
import { Waybill } from '@waybill/nestjs';
import {
  type Handled,
  INSERT_EFFECT,
  INSERT_EFFECTS,
  keyOf,
  payloadOf,
  type Peer,
  type Stop,
  type Work,
} from '../peer.js';

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

/** Publishing and relay in the producers' process, the group in the consumer's; no options. */
const places: Omit<Peer, 'consume'> = {
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
};

/** With a handler of single messages. */
export const waybillPeer: Peer = {
  ...places,
  consume: (url, work, handled) => consume(url, resolveSubscription(TOPIC, handlerOf(work, handled))),
};

/** With a batch handler. */
export const waybillBatchPeer: Peer = {
  ...places,
  consume: (url, work, handled) =>
    consume(url, resolveBatchSubscription(TOPIC, batchHandlerOf(work, handled), { batch: { max: 500 } })),
};

async function consume(url: string, subscription: Subscription): Promise<Stop> {
  const waybill = new Waybill('consumer', {
    database: { connectionString: url },
    group: 'bench',
    relay: false,
    logger: silent,
  });
  await waybill.consume({ subscriptions: [subscription] });
  return () => waybill.stop();
}

function batchHandlerOf(work: Work, handled: Handled): BatchHandler {
  return async (deliveries) => {
    const numbers = deliveries.map(({ payload }) => (payload as { n: number }).n);
    const [{ transaction } = { transaction: undefined }] = deliveries;
    if (work === 'insert') await (transaction as pg.PoolClient).query(INSERT_EFFECTS, [numbers]);
    for (const n of numbers) handled(n);
  };
}

function handlerOf(work: Work, handled: Handled): Handler {
  return async ({ payload, transaction }) => {
    const { n } = payload as { n: number };
    if (work === 'insert') await (transaction as pg.PoolClient).query(INSERT_EFFECT, [n]);
    handled(n);
  };
}
