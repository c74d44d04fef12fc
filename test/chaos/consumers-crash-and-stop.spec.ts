import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { groupLag } from '@waybill/log/postgres';
import { type ScriptProcess, waitUntil } from '@waybill/testing';
import { Fixture, upTo } from '../support/fixture.js';
import { startProgram, stopProgram } from '../support/programs.js';

const FAST = { leaseMs: 2_500, heartbeatMs: 200 };

interface EffectRow {
  readonly n: number;
  readonly pid: number;
  readonly partition: number;
  readonly offset: number;
}

describe.each(['key', 'partition'] as const)('consumers in order %s', (concurrency) => {
  let fixture: Fixture;
  const running: ScriptProcess[] = [];

  beforeEach(async () => {
    fixture = await Fixture.create({ orders: { partitions: 4 } });
  });
  afterEach(async () => {
    for (const script of running.splice(0)) script.kill('SIGKILL');
    await fixture.close();
  });

  const start = async (): Promise<ScriptProcess> => {
    const script = await startProgram('consumer', {
      url: fixture.url,
      options: FAST,
      subscription: { concurrency },
    });
    running.push(script);
    return script;
  };

  const effects = async (): Promise<EffectRow[]> =>
    (
      await fixture.database.pool.query(
        'select n, pid, partition, log_offset::int as offset from effect order by id',
      )
    ).rows;

  const publish = async (count: number, extra: (n: number) => object = () => ({})): Promise<void> => {
    await fixture.transaction((client) =>
      fixture.outbox.publishMany(
        client,
        upTo(count).map((n) => ({ topic: 'orders', key: `key-${n % 20}`, payload: { n, ...extra(n) } })),
      ),
    );
    await fixture.moveAll();
  };

  const untilHandled = (count: number): Promise<void> =>
    waitUntil(async () => (await fixture.value('select count(distinct n)::int from effect')) >= count, {
      describe: () =>
        `${count} messages are handled; ${running.map(({ output }) => output.slice(-800)).join('\n---\n')}`,
      timeoutMs: 40_000,
    });

  const expectEachOnce = async (numbers: readonly number[]): Promise<void> => {
    const seen = (await effects()).map(({ n }) => n).toSorted((a, b) => a - b);
    expect(seen).toEqual(numbers);
  };

  test('a message that takes its process down is parked after 3 crashes alone; the messages around it are handled', async () => {
    const poison = 17;
    await publish(40, (n) => (n === poison ? { kill: true } : {}));
    let crashes = 0;
    for (;;) {
      const consumer = await start();
      const dead = fixture.deadLetters.list().then((letters) => letters.length > 0);
      const ended = await Promise.race([
        consumer.exited.then(() => 'crashed' as const),
        waitUntil(async () => (await fixture.deadLetters.list()).length > 0, {
          describe: 'it is a dead letter',
          timeoutMs: 30_000,
        }).then(() => 'parked' as const),
      ]);
      await dead;
      if (ended === 'parked') break;
      crashes += 1;
      expect(crashes).toBeLessThanOrEqual(4);
    }
    // The first crash, of several messages in flight, is charged to none of them.
    expect(crashes).toBe(4);
    await untilHandled(39);
    const letters = await fixture.deadLetters.list();
    expect(letters).toHaveLength(1);
    expect(letters[0]).toMatchObject({ reason: 'process-crashed', key: `key-${poison}`, attempts: 3 });
    await expectEachOnce(upTo(40).filter((n) => n !== poison));
  });

  test('a message that was in flight alone is parked after 3 crashes', async () => {
    await publish(1, () => ({ kill: true }));
    for (let crash = 0; crash < 3; crash += 1) {
      const consumer = await start();
      await consumer.exited;
    }
    await start();
    await waitUntil(async () => (await fixture.deadLetters.list()).length === 1, {
      describe: () => `it is a dead letter; ${running.at(-1)?.output}`,
    });
    await expectEachOnce([]);
  });

  test('a consumer that is stopped leaves nothing in flight, and the next continues where it was', async () => {
    const first = await start();
    await publish(600);
    await waitUntil(async () => (await effects()).length > 20, { describe: 'it works', intervalMs: 1 });
    await stopProgram(first);
    const inFlight = await fixture.value(
      `select count(*)::int from (select distinct on (group_id, partition_id) position, in_flight_end
         from waybill.consumer_position order by group_id, partition_id, id desc) p where in_flight_end > position`,
    );
    expect(inFlight).toBe(0);
    const second = await start();
    await untilHandled(600);
    await stopProgram(second);
    await expectEachOnce(upTo(600));
    const lag = await groupLag(fixture.database.session, 'test');
    expect(lag.reduce((sum, partition) => sum + partition.lag, 0)).toBe(0);
    expect(await fixture.value('select count(*)::int from waybill.crash_charge')).toBe(0);
  });
});
