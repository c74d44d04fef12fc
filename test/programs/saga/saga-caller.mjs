// Makes the HTTP calls of the sagas of `orders`, and does nothing else for them. With `waits` it waits before each call
// for SIGUSR2, after its claim.
import { once } from 'node:events';
import { PgDatabase, PgTransactionRunner } from '@waybill/kernel';
import { Outbox } from '@waybill/outbox';
import { httpCommand, saga, SagaDefinitions, SagaEngine, SagaLoop } from '@waybill/saga';

const { url, gateway, timeoutMs, waits = false, preparedStatements } = JSON.parse(process.argv[2]);
const database = new PgDatabase({ connectionString: url, applicationName: 'test caller' });
const logger = { debug: console.log, info: console.log, warn: console.log, error: console.log };
const definition = saga('order')
  .step('charge', {
    invoke: httpCommand({ url: `${gateway}/charge`, timeoutMs }),
    with: (order) => order,
    undo: { invoke: httpCommand(`${gateway}/refund`), with: (order) => order },
  })
  .build();
const definitions = new SagaDefinitions([definition]);
const engine = new SagaEngine({
  definitions,
  outbox: new Outbox({ preparedStatements }),
  group: 'orders',
  logger,
});
const transactions = new PgTransactionRunner(database, preparedStatements);
const headers = async () => {
  console.log('claimed');
  if (waits) await once(process, 'SIGUSR2');
  return {};
};
const http = { privateHosts: ['127.0.0.1'], headers };
const { caller } = new SagaLoop({ engine, definitions, transactions, logger }, { pollMs: 20, http });
process.on('SIGTERM', async () => {
  await caller.stop();
  await database.close();
});
process.on('SIGUSR2', () => {});
caller.start();
console.log('ready');
