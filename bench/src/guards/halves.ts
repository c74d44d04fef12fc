import { HalfMessageChecker, HalfMessages } from '@waybill/half-message';
import { ANY_TOPIC } from '@waybill/half-message/internal';
import { invariant, PgDatabase, systemClock } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Outbox } from '@waybill/outbox';
import type { Report } from '../main.js';
import { median } from '../statistics.js';

const EXECUTED = 4_000;
const AT_ONCE = 32;
const ROUNDS = 3;
/** Numbers of half messages that are open and not due. */
const MANY = 1_000_000;
const FEW = 1_000;
/** Due half messages per round. */
const DUE = 2_000;
const GROUP = 'bench';

/** Half messages on a separate database. */
interface Operations {
  readonly bus: PgDatabase;
  readonly halves: HalfMessages;
}

async function openOperations(connectionString: string): Promise<Operations> {
  const bus = new PgDatabase({ connectionString, connectionsMax: 40 });
  const { topics } = new PostgresLogEngine(bus);
  await topics.create('orders', { partitions: 4 });
  const outbox = new Outbox();
  const encode = outbox.encode.bind(outbox);
  const halves = new HalfMessages({ database: bus, log: new PostgresLogEngine(bus), group: GROUP, encode });
  return { bus, halves };
}

const message = { topic: 'orders', key: 'a', payload: { n: 1, text: 'x'.repeat(180) } };

/** Half messages of 200 bytes prepared and committed per second, 32 at a time, around work that does nothing. */
export async function measureHalves(connectionString: string, report: Report): Promise<number> {
  const { bus, halves } = await openOperations(connectionString);
  try {
    const rates: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      let left = EXECUTED;
      const started = performance.now();
      await Promise.all(
        Array.from({ length: AT_ONCE }, async () => {
          while (left > 0) {
            left -= 1;
            await halves.execute(message, () => Promise.resolve());
          }
        }),
      );
      rates.push((EXECUTED / (performance.now() - started)) * 1_000);
    }
    report(`half messages: ${rates.map(Math.round).join(', ')} executed/s`);
    return median(rates);
  } finally {
    await bus.close();
  }
}

/**
 * Checks back 2,000 due half messages among a million that are open and not due, and among a thousand. The two
 * take turns, each on a separate database.
 * @returns the median over the rounds of the rate among a million, relative to that among a thousand
 */
export async function measureOpenHalves(manyUrl: string, fewUrl: string, report: Report): Promise<number> {
  const bothOperations = await Promise.all([openOperations(manyUrl), openOperations(fewUrl)]);
  const [many, few] = bothOperations;
  try {
    await addOpen(many, MANY, 3_600_000);
    await addOpen(few, FEW, 3_600_000);
    await checkedPerSecond(many);
    await checkedPerSecond(few);
    const ratios: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const order = round % 2 === 0 ? bothOperations : bothOperations.toReversed();
      const rates = new Map<Operations, number>();
      for (const operations of order) rates.set(operations, await checkedPerSecond(operations));
      const [amongMany, amongFew] = [rates.get(many) ?? 0, rates.get(few) ?? Number.NaN];
      report(
        `checks: ${Math.round(amongMany)}/s among a million, ${Math.round(amongFew)}/s among a thousand`,
      );
      ratios.push(amongMany / amongFew);
    }
    return median(ratios);
  } finally {
    await Promise.all(bothOperations.map(({ bus }) => bus.close()));
  }
}

/** Adds copies of a half message that was prepared, due within the hour that begins `inMs` from now. */
async function addOpen({ bus, halves }: Operations, count: number, inMs: number): Promise<void> {
  const { id } = await halves.prepare(message);
  await bus.pool.query(
    `insert into waybill.half_message
       (id, producer_group, next_check_at, check_interval_ms, check_max, messages, payloads)
     select waybill.uuid_v7(), h.producer_group,
            clock_timestamp() + ($3::bigint + (i::bigint * 3607) % 3600000) * interval '1 ms', h.check_interval_ms, h.check_max,
            h.messages, h.payloads
       from waybill.half_message h, generate_series(1, $2::int) i
      where h.id = $1`,
    [id, count, inMs],
  );
  await halves.rollback(id);
  await bus.pool.query('vacuum analyze waybill.half_message');
}

async function checkedPerSecond(operations: Operations): Promise<number> {
  const { bus, halves } = operations;
  await addOpen(operations, DUE, -3_600_000);
  const checks = new Map([[ANY_TOPIC, () => 'commit' as const]]);
  const checker = new HalfMessageChecker({ database: bus, store: halves.store, group: GROUP, checks });
  const started = performance.now();
  checker.start();
  while (checker.counts.commit < DUE) await systemClock.sleep(1);
  const perSecond = (DUE / (performance.now() - started)) * 1_000;
  await checker.stop();
  invariant(checker.counts.commit === DUE, `${checker.counts.commit} half messages were committed`);
  return perSecond;
}
