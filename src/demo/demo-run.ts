import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from './command.js';
import { redisIsAvailable, type RedisServer, startRedis } from '@waybill/testing';
import { chargePayment } from '../contracts/commands.js';
import { SERVICES, type ServiceName } from '../contracts/services.js';
import { type PreparedDatabases, prepareDatabases } from '../database/prepare-database.js';
import { type DemoDatabases, openDemoDatabases } from './demo-database.js';
import type { DemoOptions } from './demo-options.js';
import type { DemoOutcome } from './report/demo-report.js';
import { GatewayProcess } from './gateway/gateway-process.js';
import { feedOrders } from './orders/order-feed.js';
import { type OrderFile, readOrderFile } from './orders/order-file.js';
import { paymentTroubles, type PaymentTroubles } from './gateway/payment-troubles.js';
import type { ProgressLine } from './report/progress-line.js';
import { ServiceProcess } from './service-process.js';
import { type Progress, ShopBooks } from './report/shop-books.js';

const LOOK_EVERY_MS = 200;
/** How long the shop waits for a bank transfer in the demo. */
const PAYMENT_DUE_MS = 1_500;
/** Longer than a killed service's partitions need to find a new owner. */
const GIVE_UP_MS = 90_000;

/** Time limit in which a charge to kill the service at must occur, in milliseconds. */
const CHARGE_MS = 60_000;

/**
 * One run: databases, services, a faulty gateway, orders, kills, a redrive, a final wait, reconciliation. `interrupt`
 * makes it end early; `close` ends everything that was started, after `run` has ended.
 */
export class DemoRun {
  private readonly services = new Map<ServiceName, ServiceProcess>();
  private readonly interrupted = new AbortController();
  private databases: DemoDatabases | undefined;
  private books: ShopBooks | undefined;
  private redis: RedisServer | undefined;
  private gateway: GatewayProcess | undefined;
  private redriven = false;
  private kills = 0;
  private readonly killed: string[] = [];

  constructor(
    private readonly options: DemoOptions,
    private readonly display: ProgressLine,
  ) {}

  /**
   * Runs to the end.
   * @throws ShopError for an unusable file, a service that does not run, an order that cannot be placed; the reason of
   *   the interruption after `interrupt`.
   */
  async run(): Promise<DemoOutcome> {
    const file = await readOrderFile(this.options.ordersFile);
    this.display.say(`${file.accepted.length} invoices of ${this.options.ordersFile}`);
    const { urls } = await this.openDatabases();
    const prepared = await prepareDatabases(urls);
    this.display.say(
      'each service has a login of its own on its database and on the bus, and so has the operator',
    );
    this.interrupted.signal.throwIfAborted();
    this.books = new ShopBooks(urls);
    const troubles = paymentTroubles(file.accepted);
    this.gateway = await GatewayProcess.open(troubles);
    const gatewayUrl = await this.gateway.start();
    this.interrupted.signal.throwIfAborted();
    await this.startServices(prepared, gatewayUrl, troubles);

    const startedAt = performance.now();
    const redrive = (): Promise<void> => this.repairAndRedrive(prepared, troubles);
    const progress = await this.sellAndSettle(file, this.books, { troubles, redrive });
    const seconds = (performance.now() - startedAt) / 1000;
    this.display.finish();
    const { movements, troubles: gatewayTroubles } = this.gateway.books();
    const books = await this.books.reconcile(file.accepted, movements);
    const { kills, killed } = this;
    return { file, progress, books, kills, killed, seconds, gatewayTroubles };
  }

  /**
   * Makes `run` end soon: between two of its steps, or immediately while it waits. Safe at any time, more than once.
   */
  interrupt(): void {
    this.interrupted.abort(new Error('The demo was interrupted.'));
    void this.stopServices();
  }

  /**
   * Ends every process and removes all data. Call it after `run` has ended: the database could not be dropped while
   * `run` still creates it.
   */
  async close(): Promise<void> {
    await this.stopServices();
    await this.gateway?.close();
    await this.books?.close();
    await this.redis?.stop();
    await this.databases?.close();
  }

  private async openDatabases(): Promise<DemoDatabases> {
    this.interrupted.signal.throwIfAborted();
    if (redisIsAvailable()) this.redis = await startRedis();
    this.display.say(
      this.redis === undefined ? 'no Redis: PostgreSQL is the timer clock' : 'Redis is the timer clock',
    );
    this.databases = await openDemoDatabases();
    this.interrupted.signal.throwIfAborted();
    this.display.say(
      this.databases.external
        ? 'PostgreSQL of DATABASE_URL: a database for each service, and one for the bus'
        : 'two embedded PostgreSQL servers: orders and the bus on one, inventory and payments on the other',
    );
    return this.databases;
  }

  private async startServices(
    { connectionStrings, busConnectionStrings }: PreparedDatabases,
    gatewayUrl: string,
    { undeliverable }: PaymentTroubles,
  ): Promise<void> {
    // The owner's connections stay in this process.
    const { DATABASE_URL: _, ...inherited } = process.env;
    const env = {
      ...inherited,
      SHOP_GATEWAY_URL: gatewayUrl,
      SHOP_UNDELIVERABLE_CUSTOMERS: [...undeliverable].join(','),
      SHOP_PAYMENT_DUE_MS: String(PAYMENT_DUE_MS),
      ...(this.redis === undefined ? {} : { REDIS_URL: this.redis.url }),
    };
    for (const service of SERVICES) {
      const databases = {
        SERVICE_DATABASE_URL: connectionStrings[service],
        SERVICE_BUS_URL: busConnectionStrings[service],
      };
      this.services.set(service, new ServiceProcess(service, { ...env, ...databases }));
    }
    await Promise.all([...this.services.values()].map((service) => service.start()));
    this.interrupted.signal.throwIfAborted();
    this.display.say(`services ${SERVICES.join(', ')} are up`);
  }

  /** Feeds the orders and watches the shop concurrently; the first of the two to fail ends both. */
  private async sellAndSettle(file: OrderFile, books: ShopBooks, operations: Operations): Promise<Progress> {
    const half = Math.ceil(file.accepted.length / 2);
    const threeQuarters = Math.ceil((file.accepted.length * 3) / 4);
    const failed = new AbortController();
    // One after the other: the first needs the gateway.
    let killing = Promise.resolve();
    const kill = (work: () => Promise<void>): void => {
      killing = killing.then(work);
      killing.catch((error: unknown) => failed.abort(error));
    };
    let fed = false;
    const feed = async (): Promise<void> => {
      await feedOrders(file.accepted, {
        url: () => this.services.get('orders')?.url,
        signal: AbortSignal.any([this.interrupted.signal, failed.signal]),
        onFed: (count) => {
          if (count === half) kill(() => this.killOne());
          if (count === threeQuarters) kill(() => this.killGateway());
        },
      });
      await killing;
      fed = true;
    };
    const [progress] = await Promise.all([
      this.watch(books, file.accepted.length, () => fed, operations),
      feed(),
    ]);
    return progress;
  }

  /**
   * Kills while sagas are active: the order placed a moment ago has not been paid yet. Payments is killed when the
   * gateway has charged a card, before payments gets the response.
   */
  private async killOne(): Promise<void> {
    if (this.options.kill === 'none') return;
    const service = this.services.get(this.options.kill);
    if (service === undefined) return;
    const isHeld = service.service === 'payments' && (await this.gateway?.holdNextCharge(CHARGE_MS)) === true;
    this.kills++;
    await service.kill();
    this.gateway?.release();
    const when = isHeld ? ' between a charge and its entry in the ledger' : '';
    this.killed.push(`${service.service}${when}`);
    this.display.say(`killed ${service.service}${when}`);
    await service.start();
    this.display.say(`${this.options.kill} is up again`);
  }

  /** The external gateway is killed too; its books survive. */
  private async killGateway(): Promise<void> {
    if (this.options.kill === 'none') return;
    await this.gateway?.killAndRestart();
    this.killed.push('the gateway');
    this.display.say('killed the gateway; it is up again');
  }

  /** Watches until everything has an outcome, or nothing has moved for longer than a takeover needs. */
  private async watch(
    books: ShopBooks,
    invoices: number,
    fed: () => boolean,
    { troubles, redrive }: Operations,
  ): Promise<Progress> {
    let last = '';
    let movedAt = Date.now();
    for (;;) {
      // Everything fed before this query is included.
      const complete = fed();
      const progress = await books.progress();
      this.display.show(progress, invoices);
      const quiet = progress.openOrders === 0 && progress.openReturns === 0 && progress.lag === 0;
      if (complete && quiet) return progress;
      if (complete && isStuck(progress, troubles) && !this.redriven) await redrive();
      const seen = JSON.stringify(progress);
      if (seen !== last) movedAt = Date.now();
      last = seen;
      if (complete && Date.now() - movedAt > GIVE_UP_MS) return progress;
      this.requireServices(complete);
      await delay(LOOK_EVERY_MS, undefined, { signal: this.interrupted.signal });
    }
  }

  /** A service may be down only during the kill, which is over when everything is fed. */
  private requireServices(complete: boolean): void {
    for (const service of this.services.values()) {
      const expected = !complete && service.service === this.options.kill && this.kills > 0;
      if (!service.running && !expected) throw service.failure('ended by itself');
    }
  }

  /** Does what an operator would: the gateway works again, so failed payments are made now. */
  private async repairAndRedrive(
    { operatorConnectionStrings, busConnectionStrings }: PreparedDatabases,
    { stuckOrders }: PaymentTroubles,
  ): Promise<void> {
    this.redriven = true;
    this.display.say(
      `${stuckOrders} charges are dead letters, and their sagas wait; ` +
        `the gateway is repaired: waybill dlq redrive --topic ${chargePayment.topic} --yes`,
    );
    this.gateway?.repair();
    const args = ['dlq', 'redrive', '--topic', chargePayment.topic, '--by', 'demo'];
    const because = ['--because', 'the gateway is repaired', '--yes'];
    const databases = { database: operatorConnectionStrings.payments, bus: busConnectionStrings.operator };
    const printed = await runCommand([...args, ...because], databases, this.interrupted.signal);
    for (const line of printed) this.display.say(`  ${line}`);
  }

  private async stopServices(): Promise<void> {
    await Promise.allSettled([...this.services.values()].map((service) => service.stop()));
  }
}

/** The decisions that are due while the shop runs. */
interface Operations {
  readonly troubles: PaymentTroubles;
  readonly redrive: () => Promise<void>;
}

/** Whether only orders whose payments wait for the gateway's repair are still open. */
function isStuck(progress: Progress, { stuckOrders }: PaymentTroubles): boolean {
  const { openOrders, openReturns, deadLetters } = progress;
  return stuckOrders > 0 && deadLetters === stuckOrders && openOrders === stuckOrders && openReturns === 0;
}
