// The parts of every service of the saga tests: a relay, timers, a consumer, and transactions with faults.
import { once } from 'node:events';
import { Consumer } from '@waybill/consumer';
import { Bell, PgDatabase, PgTransactionRunner } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Outbox, Relay } from '@waybill/outbox';
import { eventGroupOf } from '@waybill/saga';
import { TimerService } from '@waybill/timer';
import { Faults } from './saga-faults.mjs';

export const logger = { debug() {}, info() {}, warn: console.log, error: console.log };

/**
 * Starts a service, once it is loaded, at SIGUSR2, and runs it until it is stopped. `serve` gets its parts and
 * returns subscriptions, those to events, and other services to run.
 */
export async function runService({ url, group, leaseMs = 400, planned = true, preparedStatements }, serve) {
  const begin = once(process, 'SIGUSR2');
  const quit = () => process.exit();
  process.once('SIGTERM', quit);
  // A signal listener keeps no process alive.
  const alive = setInterval(() => {}, 60_000);
  console.log('ready');
  await begin;
  clearInterval(alive);
  process.off('SIGTERM', quit);
  const database = new PgDatabase({
    connectionString: url,
    connectionsMax: 24,
    applicationName: `test ${group}`,
  });
  const faults = new Faults(database.pool, planned);
  const transactions = faults.around(new PgTransactionRunner(database, preparedStatements));
  const log = new PostgresLogEngine(database, { logger });
  const { signals } = log;
  const bell = new Bell();
  const outbox = new Outbox({ bell, preparedStatements });
  const relay = new Relay({ database, log, bell, logger }, { leaseMs });
  const timers = new TimerService({ database, log, logger });
  const {
    subscriptions,
    events = [],
    services = [],
  } = await serve({ database, faults, transactions, outbox });
  const consumers = [
    { group, subscriptions },
    { group: eventGroupOf(group), subscriptions: events },
  ]
    .filter((each) => each.subscriptions.length > 0)
    .map(
      (each) =>
        new Consumer(
          { ...each, database, transactions, log, logger },
          // Processes crash all the time, also from other lanes and the clock while a message runs alone.
          { leaseMs, heartbeatMs: Math.floor(leaseMs / 4), maxCrashes: 20, preparedStatements },
        ),
    );
  const start = async () => {
    signals.start();
    relay.service.start();
    timers.start();
    for (const consumer of consumers) await consumer.start();
    for (const service of services) service.start();
  };
  const started = start();
  process.on('SIGTERM', async () => {
    // A service that has been stopped must not be started afterwards.
    await started;
    for (const service of services) await service.stop();
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    await relay.service.stop();
    await timers.stop();
    await signals.stop();
    await database.close();
  });
  await started;
  console.log('running');
}
