import type { SagaState } from '@waybill/saga';
import type { Pool } from 'pg';
import type { Bank, Holdings, StartedSaga } from '../checkers/evidence.js';

const STATES: readonly SagaState[] = [
  'RUNNING',
  'COMPENSATING',
  'STUCK',
  'COMPLETED',
  'COMPENSATED',
  'CANCELLED',
];

/** What the bank and the stock begin with: one customer is nearly out of money, one article nearly sold out. */
export const CUSTOMERS = { ada: 1_000_000, bob: 1_000_000, cyd: 1_000_000, dan: 15_000 };
export const SKUS = { 'sku-1': 100_000, 'sku-2': 100_000, 'sku-3': 100_000, 'sku-4': 25 };
const ACCOUNTS = { ...CUSTOMERS, escrow: 0, shop: 0 };

const TABLES = `
  create table account (name text primary key, pence integer not null);
  create table stock (sku text primary key, pieces integer not null);
  create table placed_order (
    key text primary key, saga_id uuid not null, scenario text not null, sku text not null, customer text not null,
    pence integer not null);
  create table saga_effect (
    id bigint generated always as identity, saga_id uuid not null, step text not null, direction text not null);
  create table late_answer (
    id bigint generated always as identity, saga_id uuid not null, control json not null, "order" json not null,
    due_at timestamptz not null);`;

/** Creates the tables of the sagas' business. */
export async function createSagaTables(pool: Pool): Promise<void> {
  await pool.query(TABLES);
  const rows = (values: Readonly<Record<string, number>>): string => JSON.stringify(Object.entries(values));
  const insert = (table: string): string =>
    `insert into ${table} select e->>0, (e->>1)::integer from json_array_elements($1) e`;
  await pool.query(insert('account'), [rows(ACCOUNTS)]);
  await pool.query(insert('stock'), [rows(SKUS)]);
}

/** One look at the sums. */
export const BANK = `
  select (select sum(pence) from account)::integer as pence, (select min(pence) from account) as poorest,
         (select min(pieces) from stock) as fewest`;

/** Sagas that have not ended. */
export const OPEN_SAGAS = `
  select count(*)::integer as open from placed_order o
   where not exists (select from waybill.saga_ended e where e.id = o.saga_id)`;

/** What the bank and the stock hold, before and after. */
export async function readBank(pool: Pool): Promise<Bank> {
  const { rows } = await pool.query<{ name: string; amount: number }>(
    'select name, pence as amount from account union all select sku, pieces from stock',
  );
  const closing: Holdings = new Map(rows.map(({ name, amount }) => [name, amount]));
  return { opening: new Map(Object.entries({ ...ACCOUNTS, ...SKUS })), closing };
}

/** The sagas whose orders are committed, and what they did. */
export async function readSagas(pool: Pool): Promise<StartedSaga[]> {
  const { rows } = await pool.query<Omit<StartedSaga, 'state'> & { state: number | null }>(
    `select o.key, o.scenario, o.sku, o.customer, o.pence, coalesce(e.state, s.state) as state,
            coalesce((select json_agg(json_build_object('step', f.step, 'direction', f.direction) order by f.id)
                        from saga_effect f where f.saga_id = o.saga_id), '[]') as effects
       from placed_order o
       left join waybill.saga s on s.id = o.saga_id
       left join waybill.saga_ended e on e.id = o.saga_id
      order by o.key`,
  );
  return rows.map((row) => ({ ...row, state: row.state === null ? null : (STATES[row.state - 1] ?? null) }));
}
