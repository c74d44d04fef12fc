import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from './command.js';
import { redisIsAvailable, type RedisServer, startRedis } from '@waybill/testing';
import { SERVICES, type ServiceName } from '../contracts/services.js';
import { prepareDatabase } from '../database/prepare-database.js';
import { type DemoDatabase, openDemoDatabase } from './demo-database.js';
import type { DemoOptions } from './demo-options.js';
import type { DemoOutcome } from './demo-report.js';
import { GatewayServer } from './gateway-server.js';
import { feedOrders } from './order-feed.js';
import { type OrderFile, readOrderFile } from './order-file.js';
import { paymentTroubles, type PaymentTroubles } from './payment-troubles.js';
import type { ProgressLine } from './progress-line.js';
import { ServiceProcess } from './service-process.js';
import { type Progress, ShopBooks } from './shop-books.js';

const LOOK_EVERY_MS = 100;
/** How long the shop waits for a bank transfer in the demo. */
const PAYMENT_DUE_MS = 1_500;
/** Longer than a killed service's partitions need to find a new owner. */
const GIVE_UP_MS = 90_000;

/**
 * One run: database, services, a gateway with moods, orders, a kill half way, a redrive, quiet, reconciliation. `interrupt` makes it end early; `close`
 * undoes everything that was started, after `run` has ended.
 */
export class DemoRun {
  private readonly services = new Map<ServiceName, ServiceProcess>();
  private readonly interrupted = new AbortController();
  private database: DemoDatabase | undefined;
  private books: ShopBooks | undefined;
  private redis: RedisServer | undefined;
  private gateway: GatewayServer | undefined;
  private redriven = false;
  private kills = 0;

  constructor(
    private readonly options: DemoOptions,
    private readonly display: ProgressLine,
  ) {}

  /**
   * Runs to the end.
   * @throws ShopError for a wrong file, a service that does not run, an order that cannot be placed; the reason of
   *   the interruption after `interrupt`.
   */
  async run(): Promise<DemoOutcome> {
    const file = await readOrderFile(this.options.ordersFile);
    this.display.say(`${file.accepted.length} invoices of ${this.options.ordersFile}`);
    const { connectionString } = await this.openDatabase();
    await prepareDatabase(connectionString);
    this.interrupted.signal.throwIfAborted();
    this.books = new ShopBooks(connectionString);
    const troubles = paymentTroubles(file.accepted);
    this.gateway = new GatewayServer(troubles);
    await this.startServices(connectionString, await this.gateway.start());

    const startedAt = performance.now();
    const redrive = (): Promise<void> => this.repairAndRedrive(connectionString, troubles);
    const progress = await this.sellAndSettle(file, this.books, { troubles, redrive });
    const seconds = (performance.now() - startedAt) / 1000;
    this.display.finish();
    const books = await this.books.reconcile(file.accepted, this.gateway.charges);
    const { refusals } = this.gateway;
    return { file, progress, books, kills: this.kills, seconds, gatewayRefusals: refusals };
  }

  /** Makes `run` end soon: between two of its steps, or at once where it waits. Safe at any time, more than once. */
  interrupt(): void {
    this.interrupted.abort(new Error('The demo was interrupted.'));
    void this.stopServices();
  }

  /**
   * Ends every process and removes every trace. Called once `run` has ended: the database could not be dropped while
   * `run` still makes it.
   */
  async close(): Promise<void> {
    await this.stopServices();
    await this.gateway?.stop();
    await this.books?.close();
    await this.redis?.stop();
    await this.database?.close();
  }

  private async openDatabase(): Promise<DemoDatabase> {
    this.interrupted.signal.throwIfAborted();
    if (redisIsAvailable()) this.redis = await startRedis();
    this.display.say(
      this.redis === undefined
        ? 'no Redis: PostgreSQL is the clock of timers'
        : 'Redis is the clock of timers',
    );
    this.database = await openDemoDatabase();
    this.interrupted.signal.throwIfAborted();
    this.display.say(this.database.external ? 'PostgreSQL of DATABASE_URL' : 'embedded PostgreSQL');
    return this.database;
  }

  private async startServices(connectionString: string, gatewayUrl: string): Promise<void> {
    const env = {
      ...process.env,
      DATABASE_URL: connectionString,
      SHOP_GATEWAY_URL: gatewayUrl,
      SHOP_PAYMENT_DUE_MS: String(PAYMENT_DUE_MS),
      ...(this.redis === undefined ? {} : { REDIS_URL: this.redis.url }),
    };
    for (const service of SERVICES) this.services.set(service, new ServiceProcess(service, env));
    await Promise.all([...this.services.values()].map((service) => service.start()));
    this.interrupted.signal.throwIfAborted();
    this.display.say(`services ${SERVICES.join(', ')} are up`);
  }

  /** Feeds the orders and watches the shop, at once; the first of the two to fail ends both. */
  private async sellAndSettle(file: OrderFile, books: ShopBooks, desk: Desk): Promise<Progress> {
    const half = Math.ceil(file.accepted.length / 2);
    const failed = new AbortController();
    let killing = Promise.resolve();
    let fed = false;
    const feed = async (): Promise<void> => {
      await feedOrders(file.accepted, {
        url: () => this.services.get('orders')?.url,
        signal: AbortSignal.any([this.interrupted.signal, failed.signal]),
        onFed: (count) => {
          if (count !== half) return;
          killing = this.killOne();
          killing.catch((error: unknown) => failed.abort(error));
        },
      });
      await killing;
      fed = true;
    };
    const [progress] = await Promise.all([this.watch(books, file.accepted.length, () => fed, desk), feed()]);
    return progress;
  }

  /** Kills while messages are under way: the order that was placed a moment ago has not been paid yet. */
  private async killOne(): Promise<void> {
    if (this.options.kill === 'none') return;
    const service = this.services.get(this.options.kill);
    if (service === undefined) return;
    this.kills++;
    await service.kill();
    this.display.say(`killed ${this.options.kill}`);
    await service.start();
    this.display.say(`${this.options.kill} is up again`);
  }

  /** Watches until everything has an outcome, or nothing has moved for longer than a takeover needs. */
  private async watch(
    books: ShopBooks,
    invoices: number,
    fed: () => boolean,
    { troubles, redrive }: Desk,
  ): Promise<Progress> {
    let last = '';
    let movedAt = Date.now();
    for (;;) {
      // What was fed before the look is in it.
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

  /** A service may be down only while the kill is under way, which is over when everything is fed. */
  private requireServices(complete: boolean): void {
    for (const service of this.services.values()) {
      const expected = !complete && service.service === this.options.kill && this.kills > 0;
      if (!service.running && !expected) throw service.failure('ended by itself');
    }
  }

  /** What an operator does: the gateway works again, so the payments that could not be made are made now. */
  private async repairAndRedrive(connectionString: string, { broken }: PaymentTroubles): Promise<void> {
    this.redriven = true;
    this.display.say(
      `${broken.size} payments are dead letters, other orders of their customers wait behind them; ` +
        'the gateway is repaired: waybill dlq redrive --topic inventory.reserved --yes',
    );
    this.gateway?.repair();
    const args = ['dlq', 'redrive', '--topic', 'inventory.reserved', '--by', 'demo'];
    const because = ['--because', 'the gateway is repaired', '--yes'];
    const printed = await runCommand([...args, ...because], connectionString, this.interrupted.signal);
    for (const line of printed) this.display.say(`  ${line}`);
  }

  private async stopServices(): Promise<void> {
    await Promise.allSettled([...this.services.values()].map((service) => service.stop()));
  }
}

/** What there is to be decided about while the shop runs. */
interface Desk {
  readonly troubles: PaymentTroubles;
  readonly redrive: () => Promise<void>;
}

/** Whether nothing is open but the orders whose payments wait for the gateway to be repaired. */
function isStuck(progress: Progress, { broken, stuckOrders }: PaymentTroubles): boolean {
  const { openOrders, openReturns, deadLetters } = progress;
  return broken.size > 0 && deadLetters === broken.size && openOrders === stuckOrders && openReturns === 0;
}
