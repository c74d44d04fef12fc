// Serves stock and shipping of baskets until it is stopped; `trouble` is the fraction of commands that fail at random.
import { resolveSubscription } from '@waybill/consumer';
import { SagaLocks, SagaRejectedError } from '@waybill/saga';
import { OutboxReplies, SagaCommandServer } from '@waybill/saga/internal';
import { runService } from './saga-process.mjs';

const settings = JSON.parse(process.argv[2]);
const { trouble } = settings;

const WORKS = {
  async 'stock.take'({ sku, pieces, scenario }, tx) {
    await tx.query('update stock set pieces = pieces - $2::int where sku = $1', [sku, pieces]);
    if (scenario === 'no-stock' && sku === 'sku-2') throw new SagaRejectedError('there is none');
    return { shelf: `shelf of ${sku}` };
  },
  async 'stock.put'({ sku, pieces }, tx) {
    await tx.query('update stock set pieces = pieces + $2::int where sku = $1', [sku, pieces]);
  },
  async 'shipping.send'({ orderId, scenario }, tx, outbox) {
    await tx.query('insert into parcel (order_id) values ($1)', [orderId]);
    const sent = { topic: 'parcels.sent', key: orderId, payload: { orderId } };
    const payload = { orderId, signedBy: `neighbour of ${orderId}` };
    const events = [sent, sent, { topic: 'parcels.delivered', key: orderId, payload }];
    if (Math.random() < 0.5) events.reverse();
    for (const event of events) await outbox.publish(tx, event);
    if (scenario === 'no-lorry') throw new SagaRejectedError('no lorry');
  },
};

await runService({ ...settings, group: 'basket-participant', planned: false }, async ({ outbox }) => {
  const replies = new OutboxReplies(outbox);
  const participant = new SagaCommandServer({ replies, locks: new SagaLocks(replies) });
  const handle = (delivery) =>
    participant.serve(delivery, async () => {
      const { topic, payload, transaction } = delivery;
      const answer = await WORKS[topic](payload, transaction, outbox);
      if (Math.random() < trouble) throw new Error(`${topic} fails by chance`);
      return answer;
    });
  const retry = { immediateAttempts: 1, delayMs: 20, maxAttempts: 3 };
  return {
    subscriptions: Object.keys(WORKS).map((topic) =>
      resolveSubscription(topic, handle, { replies: true, retry }),
    ),
  };
});
