// Starts the sagas of the orders in the table `plan` and runs them, until it is stopped.
import { setTimeout as delay } from 'node:timers/promises';
import { SagaDefinitions, SagaEngine, Sagas, SagaLoop } from '@waybill/saga';
import { hastyOrder, placeOrder } from './saga-definitions.mjs';
import { logger, runService } from './saga-process.mjs';

const settings = JSON.parse(process.argv[2]);
/** Orders that are placed at a time. */
const TOGETHER = 12;

/** The name of a saga event, the same in each run. */
function nameOf({ instance, nowMs }, event) {
  if (event.type === 'reply') return `answer ${event.step}/${event.op}/${event.attempt}`;
  const due = Object.entries(instance.steps).find(([, { dueMs }]) => dueMs !== null && dueMs <= nowMs);
  return due === undefined ? event.type : `${event.type} ${due[0]}/${due[1].attempt}`;
}

class Starter {
  #stopped = false;
  #running = Promise.resolve();

  constructor({ database, faults, transactions }, sagas) {
    Object.assign(this, { database, faults, transactions, sagas });
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
      const open = await this.database.pool
        .query('select id, scenario, sku, pence from plan where id not in (select id from orders) limit 500')
        .catch((error) => console.log(`cannot look for orders: ${error.message}`));
      const rows = open?.rows ?? [];
      for (let next = 0; next < rows.length && !this.#stopped;) {
        const some = rows.slice(next, (next += TOGETHER));
        const started = await Promise.allSettled(some.map((row) => this.#place(row)));
        for (const { reason } of started)
          if (reason) console.log(`an order was not placed: ${reason.message}`);
      }
      await delay(200);
    }
  }

  async #place({ id, scenario, sku, pence }) {
    const definition = scenario === 'silent' ? hastyOrder : placeOrder;
    await this.transactions.run({
      work: async ({ handle }) => {
        const data = { orderId: id, scenario, sku, pence };
        await this.faults.start(id);
        const saga = await this.sagas.start(handle, definition, { key: id, data });
        // Another process may have been faster: then the start finds its saga.
        if (saga.created)
          await handle.query(`insert into orders (id, state, saga_id) values ($1, 'placed', $2)`, [
            id,
            saga.id,
          ]);
      },
      timeoutMs: 30_000,
    });
  }
}

await runService({ ...settings, group: 'orders' }, async (parts) => {
  const { faults, transactions, outbox } = parts;
  const definitions = new SagaDefinitions([placeOrder, hastyOrder]);
  const engine = new SagaEngine({ definitions, outbox, group: 'orders', logger });
  const { carry } = engine;
  engine.carry = async (transaction, stored, event, order) => {
    await faults.enter(stored.instance.id, nameOf(stored, event));
    return carry.call(engine, transaction, stored, event, order);
  };
  const sagas = new Sagas({ engine, schema: 'waybill', outbox, transactions });
  const service = new SagaLoop({ engine, definitions, transactions, logger }, { pollMs: 50 });
  return { subscriptions: service.subscriptions(), services: [service, new Starter(parts, sagas)] };
});
