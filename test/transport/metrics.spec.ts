import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  getWaybillToken,
  Waybill,
  WaybillHealthIndicator,
  WaybillMetrics,
  WaybillModule,
  type WaybillModuleExtras,
  type WaybillModuleOptions,
} from '@waybill/nestjs';
import { migrate } from '@waybill/schema';
import { createDatabase, testServerUrl, waitUntil } from '@waybill/testing';
import { Applications } from './application.js';

const SAMPLE =
  /^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? ([-+]?(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|Inf)|NaN)$/;

/** Reads Prometheus' text format, strictly. */
function parsed(text: string): { names: string[]; series: Map<string, number> } {
  const names: string[] = [];
  const types = new Map<string, string>();
  const series = new Map<string, number>();
  expect(text.endsWith('\n')).toBe(true);
  for (const line of text.slice(0, -1).split('\n')) {
    const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === 'HELP' && name !== undefined) {
      expect(names).not.toContain(name);
      names.push(name);
    } else if (kind === 'TYPE' && name !== undefined) {
      expect(names.at(-1)).toBe(name);
      types.set(name, rest as string);
    } else {
      const [, ofSample, labels = '', value] = SAMPLE.exec(line) ?? [];
      if (ofSample === undefined) throw new Error(`no sample: ${line}`);
      const owner = names.at(-1) as string;
      const isHistogram = types.get(owner) === 'histogram';
      expect(isHistogram ? ofSample.replace(/_(bucket|sum|count)$/, '') : ofSample).toBe(owner);
      expect(ofSample.endsWith('_total')).toBe(types.get(owner) === 'counter');
      const id = labels === '' ? ofSample : `${ofSample}{${labels}}`;
      expect(series.has(id)).toBe(false);
      series.set(id, Number(value?.replace('Inf', 'Infinity')));
    }
  }
  return { names, series };
}

@Controller()
class Orders {
  @EventPattern<string>('orders')
  handle(@Payload() { n }: { n: number }): void {
    if (n === 13) throw new Error('unlucky');
  }
}

let applications: Applications;
let modules: TestingModule[] = [];
beforeEach(async () => {
  applications = await Applications.create('orders', 'stock');
});
afterEach(async () => {
  await Promise.all(modules.splice(0).map((module) => module.close()));
  await applications.close();
});

const start = async (
  options: Partial<WaybillModuleOptions> & WaybillModuleExtras = {},
): Promise<TestingModule> => {
  const module = await Test.createTestingModule({
    imports: [
      WaybillModule.forRoot({
        database: { connectionString: applications.fixture.url },
        relay: false,
        ...options,
      }),
      TerminusModule.forRoot({ logger: false }),
    ],
  }).compile();
  module.useLogger(false);
  modules.push(module);
  await module.init();
  return module;
};

const scrape = async (metrics: WaybillMetrics): Promise<Map<string, number>> =>
  parsed(await metrics.text()).series;

/** Scrapes until the figures are as they should be. */
async function until(
  metrics: WaybillMetrics,
  claim: (series: Map<string, number>) => boolean,
): Promise<Map<string, number>> {
  let series = new Map<string, number>();
  await waitUntil(
    async () => {
      series = await scrape(metrics);
      return claim(series);
    },
    { describe: () => `figures do not match: ${JSON.stringify([...series])}` },
  );
  return series;
}

describe('metrics', () => {
  test('show the outbox, and how far, and for how long, a group lags', async () => {
    const { fixture } = applications;
    const app = await applications.start('shop', [Orders], { relay: false });
    const metrics = app.get(WaybillMetrics);
    await fixture.publish(1);
    await fixture.moveAll();
    const lag = 'waybill_consumer_lag{group="shop",topic="orders"}';
    const age = 'waybill_consumer_lag_seconds{group="shop",topic="orders"}';
    await until(metrics, (series) => series.get('waybill_done_total') === 1 && series.get(lag) === 0);
    const rested = await scrape(metrics);
    expect(rested.get(age)).toBe(0);
    expect(rested.get('waybill_consumer_partitions')).toBe(1);
    expect(rested.get('waybill_consumer_failed_partitions')).toBe(0);

    await app.get(Waybill).stopConsuming();
    await fixture.publish(2);
    await fixture.moveAll();
    await fixture.publish(3);
    await fixture.publish(4);
    expect((await scrape(metrics)).get('waybill_outbox_pending')).toBe(2);
    await fixture.database.pool.query(
      `update waybill.outbox set created_at = created_at - interval '1 minute'`,
    );
    expect((await scrape(metrics)).get('waybill_outbox_oldest_age_seconds')).toBeGreaterThanOrEqual(60);

    await fixture.moveAll();
    await fixture.database.pool.query(
      `update waybill_bus.log_batch set appended_at = appended_at - base_offset * interval '1 hour' where base_offset > 0`,
    );
    const behind = await scrape(metrics);
    expect(behind.get('waybill_outbox_pending')).toBe(0);
    expect(behind.get('waybill_outbox_oldest_age_seconds')).toBe(0);
    expect(behind.get(lag)).toBe(3);
    // The first record that is not done is at offset 1, so it is an hour old.
    expect(behind.get(age)).toBeGreaterThanOrEqual(3_600);
    expect(behind.get(age)).toBeLessThan(7_200);
    const { series } = parsed(await metrics.text({ perPartition: true }));
    expect(series.get('waybill_consumer_lag{group="shop",topic="orders",partition="0"}')).toBe(3);
  });

  test('show durations of handlers, failed attempts and dead letters', async () => {
    const app = await applications.start('shop', [Orders], { relay: false });
    const metrics = app.get(WaybillMetrics);
    await applications.fixture.publish(1);
    await applications.fixture.publish(13, 'bad');
    await applications.fixture.moveAll();
    const dead = 'waybill_dlq_messages{group="shop",topic="orders"}';
    const series = await until(
      metrics,
      (seen) => seen.get(dead) === 1 && seen.get('waybill_done_total') === 1,
    );
    expect(series.get('waybill_retries_total')).toBe(3);
    expect(series.get('waybill_dead_letters_total')).toBe(1);
    expect(series.get('waybill_handler_seconds_count{topic="orders",outcome="error"}')).toBe(3);
    expect(series.get('waybill_handler_seconds_count{topic="orders",outcome="ok"}')).toBe(1);
    const buckets = [...series].filter(([id]) => /_bucket\{topic="orders",outcome="error"/.test(id));
    expect(buckets.at(-1)).toEqual([expect.stringContaining('le="+Inf"'), 3]);
    const counts = buckets.map(([, count]) => count);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(series.get('waybill_handler_seconds_sum{topic="orders",outcome="error"}')).toBeGreaterThan(0);
  });

  test('show sagas, half messages, timers and old transactions', async () => {
    const { pool } = applications.fixture.database;
    const metrics = (await start({ group: 'shop' })).get(WaybillMetrics);
    await pool.query(
      `insert into waybill.saga (id, saga_type, definition_version, saga_key, reply_topic, state, started_at,
                                 changed_at, content)
       values (gen_random_uuid(), 't', 1, 'a', 'r', 3, now() - interval '90 seconds', now(), '{}'),
              (gen_random_uuid(), 't', 1, 'b', 'r', 1, now(), now(), '{}')`,
    );
    await pool.query(
      `insert into waybill.half_message (id, producer_group, state, prepared_at, next_check_at, check_interval_ms,
                                         check_max, messages, payloads)
       values (gen_random_uuid(), 'g', 4, now() - interval '90 seconds', now(), 1000, 1, '[]', '{}')`,
    );
    const series = await scrape(metrics);
    expect(series.get('waybill_saga_active{state="stuck"}')).toBe(1);
    expect(series.get('waybill_saga_active{state="running"}')).toBe(1);
    expect(series.get('waybill_saga_active{state="compensating"}')).toBe(0);
    expect(series.get('waybill_saga_oldest_age_seconds{state="stuck"}')).toBeGreaterThanOrEqual(90);
    expect(series.get('waybill_half_pending')).toBe(1);
    expect(series.get('waybill_half_undecided')).toBe(1);
    expect(series.get('waybill_half_oldest_age_seconds')).toBeGreaterThanOrEqual(90);
    expect(series.get('waybill_timers_oldest_overdue_seconds')).toBe(0);
    const client = await pool.connect();
    try {
      await client.query('begin');
      await client.query('select pg_current_xact_id()');
      const age = 'waybill_pg_oldest_xmin_age_seconds{database="service"}';
      await until(metrics, (seen) => (seen.get(age) ?? 0) > 0.5);
      await client.query('rollback');
    } finally {
      client.release();
    }
  });

  test('report that the database cannot be read, and still include those of the process', async () => {
    const module = await start();
    const metrics = module.get(WaybillMetrics);
    expect((await scrape(metrics)).get('waybill_up')).toBe(1);
    await module.get(Waybill).stop();
    const series = await scrape(metrics);
    expect(series.get('waybill_up')).toBe(0);
    expect(series.get('waybill_relay_running')).toBe(0);
    expect(series.has('waybill_outbox_pending')).toBe(false);
    expect(metrics.contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
  });

  test('cover both databases when the log has its own', async () => {
    const own = await createDatabase({ connectionString: testServerUrl() }, 'metrics');
    try {
      await migrate({ connectionString: own.connectionString, participant: true });
      const { url } = applications.fixture;
      const module = await start({
        database: { connectionString: own.connectionString },
        bus: { connectionString: url },
      });
      const series = await scrape(module.get(WaybillMetrics));
      expect(series.get('waybill_up')).toBe(1);
      expect(series.has('waybill_pg_oldest_xmin_age_seconds{database="service"}')).toBe(true);
      expect(series.has('waybill_pg_oldest_xmin_age_seconds{database="bus"}')).toBe(true);
      expect(series.has('waybill_outbox_pending')).toBe(false);
      await module.close();
    } finally {
      await own.drop();
    }
  });

  test('of several instances form one text, each metric once', async () => {
    const first = (await start()).get(WaybillMetrics);
    const name = 'pay"roll\\';
    const second = (await start({ name })).get<WaybillMetrics>(getWaybillToken(WaybillMetrics, name));
    const { series } = parsed(await first.text({ others: [second] }));
    expect(series.get('waybill_up')).toBe(1);
    expect(series.get('waybill_up{waybill="pay\\"roll\\\\"}')).toBe(1);
  });
});

test('the dashboard and the alerts name only metrics that exist', async () => {
  const metrics = (await start()).get(WaybillMetrics);
  const known = new Set(parsed(await metrics.text()).names);
  const file = (name: string): string => readFileSync(new URL(`../../ops/${name}`, import.meta.url), 'utf8');
  const namesOf = (expressions: readonly string[]): string[] =>
    expressions.flatMap((expression) => expression.match(/waybill_\w+/g) ?? []);
  const { panels } = JSON.parse(file('grafana-waybill.json')) as {
    panels: { targets?: { expr: string }[] }[];
  };
  const shown = namesOf(panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)));
  const rules = file('alerts-waybill.yml');
  expect(rules.match(/- alert: \w+/g)).toHaveLength(8);
  const watched = namesOf([rules]);
  for (const name of [...shown, ...watched])
    expect(known).toContain(name.replace(/(?<=waybill_handler_seconds)_(bucket|sum|count)$/, ''));
  const documented = namesOf([file('../docs/OBSERVABILITY.md')]);
  for (const name of known) expect(documented).toContain(name);
});

test('terminus takes the health indicator: up, degraded and down', async () => {
  const module = await start();
  const indicator = module.get(WaybillHealthIndicator);
  const health = await module.resolve(HealthCheckService);
  const check = () => health.check([() => indicator.isHealthy()]);
  expect(await check()).toMatchObject({ status: 'ok', info: { waybill: { status: 'up' } }, error: {} });

  await applications.fixture.publish(1);
  await applications.fixture.database.pool.query(
    `update waybill.outbox set created_at = created_at - interval '1 minute'`,
  );
  expect(await check()).toMatchObject({
    status: 'degraded',
    info: { waybill: { status: 'degraded', outboxWaiting: 1 } },
    error: {},
  });

  await module.get(Waybill).stop();
  await expect(check()).rejects.toMatchObject({
    status: 503,
    response: { status: 'error', error: { waybill: { status: 'down' } } },
  });
});
