import type { ScriptProcess } from '@waybill/testing';
import { Fixture } from '../fixture.js';
import { startProgram, stopProgram } from '../programs.js';

const TOPICS = [
  'stock.reserve',
  'stock.release',
  'payments.charge',
  'payments.refund',
  'shipping.ship',
  'orders.saga-replies',
];

const TABLES = `
  create table plan (id text primary key, scenario text not null, sku text not null, pence int not null,
                     transition text, place text, killed boolean not null default false);
  create table orders (id text primary key, state text not null, saga_id uuid not null unique);
  create table stock (sku text primary key, pieces int not null);
  create table reservation (order_id text);
  create table payment (order_id text, pence int);
  create table parcel (order_id text);
  create table deed (id bigint generated always as identity, saga uuid, what text, mark text);
  insert into stock select 'sku-' || n, 1000 from generate_series(0, 15) n`;

/** How long a service may take to start on a busy machine. */
const START_MS = 120_000;

/** An order that test/programs/saga/saga-orders.mjs is to place, and where a process is to crash on its saga. */
export interface PlannedOrder {
  readonly id: string;
  readonly scenario: string;
  readonly transition?: string;
  readonly place?: string;
}

/** How the saga of an order has ended, or its current state. */
export interface OrderEnd {
  readonly id: string;
  readonly scenario: string;
  readonly state: number;
  readonly deeds: readonly string[];
}

/** A database with the tables of the order sagas of test/programs. */
export async function orderFixture(): Promise<Fixture> {
  const fixture = await Fixture.create(Object.fromEntries(TOPICS.map((name) => [name, {}])));
  await fixture.database.pool.query(TABLES);
  return fixture;
}

/** Plans orders; each has a different price. */
export async function plan(fixture: Fixture, orders: readonly PlannedOrder[]): Promise<void> {
  await fixture.database.pool.query(
    `insert into plan (id, scenario, sku, pence, transition, place)
     select o.id, o.scenario, 'sku-' || (n % 16), 100 + n, o.transition, o.place
       from rows from (json_to_recordset($1) as (id text, scenario text, transition text, place text))
            with ordinality as o (id, scenario, transition, place, n)`,
    [JSON.stringify(orders)],
  );
}

/** The orders whose sagas have not ended, including stuck ones. */
export async function underWay(fixture: Fixture): Promise<string[]> {
  const { rows } = await fixture.database.pool.query<{ id: string }>(
    `select plan.id from plan left join orders using (id)
       left join waybill.saga_ended e on e.id = orders.saga_id where e.id is null`,
  );
  return rows.map(({ id }) => id);
}

/** The current state of each order. */
export async function ends(fixture: Fixture): Promise<OrderEnd[]> {
  const { rows } = await fixture.database.pool.query<OrderEnd>(
    `select plan.id, plan.scenario, e.state,
            array(select what from deed where deed.saga = orders.saga_id order by deed.id) as deeds
       from plan left join orders using (id) left join waybill.saga_ended e on e.id = orders.saga_id
      order by plan.id`,
  );
  return rows;
}

/**
 * What does not agree with how the sagas ended: pieces, reservations, payments, parcels, states of orders. Empty
 * when all is well.
 */
export async function disagreements(fixture: Fixture): Promise<string[]> {
  const { rows } = await fixture.database.pool.query<{ what: string }>(`
    with ended as (
      select plan.id, plan.sku, plan.pence, orders.state, (e.state = 4) as completed
        from plan join orders using (id) join waybill.saga_ended e on e.id = orders.saga_id
    )
    select 'stock of ' || s.sku || ' is ' || s.pieces as what from stock s
     where s.pieces <> 1000 - (select count(*) from ended e where e.sku = s.sku and e.completed)
    union all
    select 'order ' || e.id || ' has ' || count(r) || ' reservations' from ended e
      left join reservation r on r.order_id = e.id
     group by e.id, e.completed having count(r) <> e.completed::int
    union all
    select 'order ' || e.id || ' has paid ' || coalesce(sum(p.pence), 0) from ended e
      left join payment p on p.order_id = e.id
     group by e.id, e.pence, e.completed having coalesce(sum(p.pence), 0) <> e.completed::int * e.pence
    union all
    select 'order ' || e.id || ' has ' || count(r) || ' parcels' from ended e
      left join parcel r on r.order_id = e.id
     group by e.id, e.completed having count(r) <> e.completed::int
    union all
    select 'order ' || e.id || ' is ' || e.state from ended e where (e.state = 'confirmed') <> e.completed`);
  return rows.map(({ what }) => what);
}

/** Keeps a saga program running, even when it is killed, until it is stopped. A spare one is loaded in advance. */
export class Supervised {
  crashes = 0;
  readonly #loop: Promise<void>;
  #stopped = false;
  #spare: Promise<ScriptProcess>;
  #running: ScriptProcess | undefined;
  #isRunning = false;

  constructor(
    private readonly program: string,
    private readonly settings: Readonly<Record<string, unknown>>,
  ) {
    this.#spare = startProgram(`saga/${program}`, settings);
    this.#loop = this.#keep();
  }

  /** Its latest output, for a failure's message. */
  get output(): string {
    return this.#running?.output ?? '';
  }

  /** Whether its process has started its loops. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  kill(): void {
    this.#running?.kill('SIGKILL');
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#running !== undefined) await stopProgram(this.#running);
    await this.#loop;
    await stopProgram(await this.#spare);
  }

  async #keep(): Promise<void> {
    while (!this.#stopped) {
      this.#running = await this.#spare;
      this.#spare = startProgram(`saga/${this.program}`, this.settings);
      this.#running.kill('SIGUSR2');
      if (this.#stopped) await stopProgram(this.#running);
      this.#running.waitForLine(/^running$/, { timeoutMs: START_MS }).then(
        () => (this.#isRunning = true),
        () => undefined,
      );
      if ((await this.#running.exited).signal === 'SIGKILL') this.crashes += 1;
      this.#isRunning = false;
    }
  }
}
