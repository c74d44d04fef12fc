// Serves the commands of one of the services stock, payments and shipping until it is stopped. Its handlers do what
// they are asked each time they run: the barrier ensures that they run once. An order's `scenario` says what goes
// wrong.
import { resolveSubscription } from '@waybill/consumer';
import { SagaLocks, SagaOngoingError, SagaRejectedError } from '@waybill/saga';
import { OutboxReplies, SagaCommandServer } from '@waybill/saga/internal';
import { TOPICS } from './saga-definitions.mjs';
import { runService } from './saga-process.mjs';

const settings = JSON.parse(process.argv[2]);
const { group } = settings;
const RETRY = { immediateAttempts: 0, delayMs: 20, maxAttempts: 1 };

const WORKS = {
  async 'stock.reserve'({ orderId, sku, scenario }, tx) {
    await tx.query('update stock set pieces = pieces - 1 where sku = $1', [sku]);
    await tx.query('insert into reservation (order_id) values ($1)', [orderId]);
    if (scenario === 'no-stock') throw new SagaRejectedError('there is none');
    return { shelf: sku };
  },
  async 'stock.release'({ orderId, sku }, tx) {
    await tx.query('update stock set pieces = pieces + 1 where sku = $1', [sku]);
    await tx.query('delete from reservation where order_id = $1', [orderId]);
  },
  async 'payments.charge'({ orderId, pence, scenario }, tx, attempt) {
    await tx.query('insert into payment (order_id, pence) values ($1, $2)', [orderId, pence]);
    if (scenario === 'no-money') throw new SagaRejectedError('no cover');
    if (scenario === 'flaky' && attempt === 1) throw new Error('the gateway is down');
    if (scenario === 'silent') throw new SagaOngoingError();
    return { receipt: `r-${orderId}` };
  },
  async 'payments.refund'({ orderId, pence }, tx) {
    await tx.query('insert into payment (order_id, pence) values ($1, -$2::int)', [orderId, pence]);
  },
  async 'shipping.ship'({ orderId, scenario }, tx) {
    await tx.query('insert into parcel (order_id) values ($1)', [orderId]);
    if (scenario === 'no-lorry') throw new SagaRejectedError('no lorry');
  },
};

await runService(settings, async ({ faults, outbox }) => {
  const participant = new SagaCommandServer({
    replies: new OutboxReplies(outbox),
    locks: new SagaLocks(new OutboxReplies(outbox)),
  });
  const handle = async (delivery) => {
    const { control, topic, payload, transaction } = delivery;
    const [sagaId, step, op, attempt] = ['id', 'step', 'op', 'attempt'].map(
      (name) => control[`waybill-saga-${name}`],
    );
    const transition = `${step}/${op}/${attempt}`;
    await faults.enter(sagaId, transition);
    const work = async () => {
      const what = topic.split('.')[1];
      await transaction.query('insert into deed (saga, what) values ($1, $2)', [sagaId, what]);
      return WORKS[topic](payload, transaction, Number(attempt));
    };
    try {
      return await participant.serve(delivery, work);
    } catch (error) {
      await faults.failed(sagaId, transition);
      throw error;
    }
  };
  return {
    subscriptions: TOPICS[group].map((topic) =>
      resolveSubscription(topic, handle, { replies: true, retry: RETRY }),
    ),
  };
});
