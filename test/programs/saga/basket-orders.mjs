// Starts the sagas of the baskets in the table `plan`, runs them, sends each webhook twice, and cancels some, until it
// is stopped. The table `release` says which release of the definitions it runs.
import { setTimeout as delay } from 'node:timers/promises';
import { SagaDefinitions, SagaEngine, Sagas, SagaLoop, startedBy } from '@waybill/saga';
import { basketSagas } from './basket-definitions.mjs';
import { logger, runService } from './saga-process.mjs';

const settings = JSON.parse(process.argv[2]);
const { gateway, perSecond } = settings;

/** Does something with each row of a query, repeatedly. */
class Chore {
  #stopped = false;
  #running = Promise.resolve();

  constructor(pool, query, work) {
    Object.assign(this, { pool, query, work });
  }

  start() {
    this.#running = this.#run();
  }

  async stop() {
    this.#stopped = true;
    await this.#running;
  }

  async #run() {
    while (!this.#stopped) {
      const found = await this.pool.query(this.query).catch(() => undefined);
      for (const row of found?.rows ?? []) {
        if (this.#stopped) return;
        await this.work(row).catch((error) => console.log(`a chore failed: ${error.message}`));
      }
      await delay(100);
    }
  }
}

await runService(
  { ...settings, group: 'baskets', planned: false },
  async ({ database, transactions, outbox }) => {
    const { rows } = await database.pool.query('select number as release from release');
    const { order, payment, delivery } = basketSagas(gateway, rows[0].release);
    const definitions = new SagaDefinitions([order, payment, delivery]);
    definitions.addStart(startedBy(delivery, 'parcels.sent', { key: ({ orderId }) => orderId }));
    const engine = new SagaEngine({ definitions, outbox, group: 'baskets', logger });
    const sagas = new Sagas({ engine, schema: 'waybill', outbox, transactions });
    const http = { privateHosts: [new URL(gateway).host], timeoutMs: 1_000 };
    const service = new SagaLoop({ engine, definitions, transactions, logger }, { pollMs: 50, http });
    const run = (work) => transactions.run({ work: ({ handle }) => work(handle), timeoutMs: 30_000 });
    const starting = new Chore(
      database.pool,
      'select id, scenario, lines, pence from plan where id not in (select id from orders) limit 50',
      async ({ id, scenario, lines, pence }) => {
        await run(async (tx) => {
          const data = { orderId: id, scenario, lines, pence };
          const { created } = await sagas.start(tx, order, { key: id, data });
          if (created) await tx.query(`insert into orders (id, state) values ($1, 'placed')`, [id]);
        });
        await delay(1_000 / perSecond);
      },
    );
    const clearing = new Chore(
      database.pool,
      'select order_id as id from booking where not cleared limit 50',
      async ({ id }) => {
        const event = { id: `evt-${id}` };
        for (let time = 0; time < 2; time += 1)
          await run((tx) => sagas.signal(tx, { saga: payment, key: id }, 'cleared', `r-${id}`, event));
        await run((tx) => tx.query('update booking set cleared = true where order_id = $1', [id]));
      },
    );
    const cancelling = new Chore(
      database.pool,
      `select o.id from orders o join plan p using (id)
      where p.scenario = 'cancel' and not o.cancelled and o.placed_at < now() - random() * interval '2 seconds' limit 20`,
      ({ id }) =>
        run(async (tx) => {
          await sagas.cancel(tx, { saga: order, key: id }, 'changed my mind');
          await tx.query('update orders set cancelled = true where id = $1', [id]);
        }),
    );
    return {
      subscriptions: service.subscriptions(),
      events: service.events.subscriptions(),
      services: [service, starting, clearing, cancelling],
    };
  },
);
