import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import { Waybill, WaybillHealthIndicator, WaybillMetrics } from '@waybill/nestjs';
import { OutboxQuarantine } from '@waybill/outbox/internal';
import { Fixture, numbersOf } from '../support/fixture.js';
import { message, timersOf } from '../support/timers.js';

let fixture: Fixture;
let quarantine: OutboxQuarantine;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
  quarantine = new OutboxQuarantine(fixture.database);
  for (const n of [1, 2, 3])
    await fixture.database.pool.query(
      `insert into waybill.outbox (message_id, topic, key, headers, payload)
       values (gen_random_uuid(), $1, 'k', '{"a": "b"}', convert_to($2, 'UTF8'))`,
      [n === 3 ? 'never' : 'late', JSON.stringify({ n, secret: 'card 4711' })],
    );
  await fixture.moveAll();
});
afterEach(() => fixture.close());

async function command(...args: string[]): Promise<string> {
  let said = '';
  const program = createProgram({ write: (text) => void (said += text) });
  await program.parseAsync(['node', 'waybill', ...fixture.urlArguments, 'outbox', 'quarantine', ...args]);
  return said;
}

describe('what is quarantined', () => {
  test('is listed and shown, its payload only on request', async () => {
    const login = await fixture.value<string>('select session_user::text');
    const list = await command('list');
    expect(list).toMatch(
      new RegExp(`outbox +late +${login} +k .*TOPIC_UNKNOWN: .*Topic late does not exist`),
    );
    expect(list.trim().split('\n')).toHaveLength(4);
    expect((await command('list', '--topic', 'never')).trim().split('\n')).toHaveLength(2);
    expect(await command('list', '--groups')).toMatch(/late +TOPIC_UNKNOWN +2/);
    expect(JSON.parse(await command('list', '--json', '--role', login))).toHaveLength(3);
    expect(await command('list', '--reason', 'OTHER')).toBe('');
    const [first] = await quarantine.list();
    const shown = await command('show', String(first?.id));
    expect(shown).toMatch(/header a: b/);
    expect(list + shown).not.toContain('4711');
    expect(await command('show', String(first?.id), '--payload')).toContain('4711');
    await expect(command('show', '999')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('is published again once its topic exists, in order, and that is recorded', async () => {
    await expect(command('redrive', '--topic', 'late', '--yes', '--by', 'ann')).rejects.toMatchObject({
      code: 'TOPIC_UNKNOWN',
    });
    expect(await quarantine.count()).toBe(3);
    await fixture.topics.create('late', { partitions: 1 });
    expect(await command('redrive', '--topic', 'late')).toMatch(/2 messages would be published again/);
    const ids = (await quarantine.list({ topic: 'late' })).map(({ id }) => id);
    expect(await command('redrive', '--topic', 'late', '--yes', '--by', 'ann', '--because', 'created')).toBe(
      '2 messages published again\n',
    );
    await fixture.moveAll();
    const log = await fixture.log('late');
    expect(log.map(({ payload }) => payload.n)).toEqual([1, 2]);
    expect(log[0]?.headers).toMatchObject({ a: 'b' });
    expect(await quarantine.count()).toBe(1);
    expect(await quarantine.actions(ids[0] as number)).toMatchObject([
      {
        by: 'ann',
        action: 'redrive',
        reason: 'created',
        details: { topic: 'late', code: 'TOPIC_UNKNOWN' },
      },
    ]);
  });

  test('is discarded only with a reason', async () => {
    await expect(command('discard', '--all', '--yes')).rejects.toThrow(/--because/);
    await expect(command('discard', '--yes', '--because', 'x')).rejects.toThrow(/--all/);
    expect(await command('discard', '--all')).toMatch(/^3 messages would be/);
    expect(await command('discard', '--all', '--yes', '--because', 'a test')).toBe('3 discarded\n');
    expect(await quarantine.count()).toBe(0);
  });

  test('becomes a timer again if it was a quarantined timer, and fires', async () => {
    await command('discard', '--all', '--yes', '--because', 'a test');
    const { timers, service } = timersOf(fixture);
    await timers.schedule({ ...message(7), topic: 'orders', partition: null }, { delayMs: 0 });
    await fixture.database.pool.query(`update waybill.timer set partition_number = 5`);
    while ((await service.runOnce()) === 'again');
    expect(await quarantine.list()).toMatchObject([{ origin: 'timer', code: 'MESSAGE_INVALID', role: '' }]);
    await fixture.database.pool.query(`update waybill.outbox_quarantine set partition_number = 0`);
    expect(await command('redrive', '--all', '--yes')).toBe('1 messages published again\n');
    await fixture.moveAll();
    while ((await service.runOnce()) === 'again');
    await fixture.moveOwn();
    expect(numbersOf(await fixture.log())).toEqual([7]);
  });

  test('is reported by metrics, health and doctor', async () => {
    const waybill = new Waybill('default', { ...fixture.moduleOptions, relay: false });
    try {
      expect(await new WaybillMetrics(waybill).text()).toContain(
        'waybill_quarantine_messages{topic="late",reason="TOPIC_UNKNOWN"} 2',
      );
      expect((await new WaybillHealthIndicator(waybill).isHealthy())['waybill']).toMatchObject({
        status: 'degraded',
        outboxQuarantined: [{ topic: 'late', code: 'TOPIC_UNKNOWN', messages: 2 }, { topic: 'never' }],
      });
    } finally {
      await waybill.stop();
    }
    let said = '';
    const program = createProgram({ write: (text) => void (said += text) });
    await program.parseAsync(['node', 'waybill', ...fixture.urlArguments, 'doctor']);
    expect(said).toMatch(
      /warning +quarantine +.*2 of late \(TOPIC_UNKNOWN\), 1 of never.*waybill outbox quarantine list/,
    );
    process.exitCode = undefined;
  });
});
