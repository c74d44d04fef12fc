import { afterEach, describe, expect, test } from '@jest/globals';
import { ConfigurationError } from '@waybill/kernel';
import { type SagaDefinition, SagaDefinitions, SagaEngine, SagaRetention } from '@waybill/saga';
import { builtStatements } from '../support/hostile-objects.js';
import {
  attributesOf,
  begin,
  closeFloor,
  command,
  floor,
  go,
  keys,
  logger,
  numbers,
  opened,
  tell,
  warnings,
} from '../support/saga/shipping-floor.js';
import { found, lorry, shipping } from '../support/saga/shipping-sagas.js';

afterEach(closeFloor);

describe('attributes', () => {
  test('find running and ended sagas: a number and its digits alike, all that are named', async () => {
    await opened();
    const first = await begin('A', { customer: 17_850, region: 'uk' });
    await begin('B', { customer: '17850', region: 'de' });
    await begin('C', { customer: 'O\'Neil = "x"', region: 'uk' });
    expect(await keys({ customer: 17_850 })).toEqual(['A', 'B']);
    expect(await keys({ customer: '17850' })).toEqual(['A', 'B']);
    expect(await keys({ customer: 17_850, region: 'uk' })).toEqual(['A']);
    expect(await keys({ region: 'uk', customer: '17850' })).toEqual(['A']);
    expect(await keys({ customer: 'O\'Neil = "x"' })).toEqual(['C']);
    expect(await keys({ customer: "17850' or true" })).toEqual([]);
    expect(await keys({ other: '17850' })).toEqual([]);
    expect(await attributesOf(first)).toEqual({ customer: 17_850, region: 'uk' });
    await go(first);
    const ended = { where: { customer: 17_850 }, states: ['COMPLETED'] } as const;
    expect((await floor.operations.list(ended)).map(({ key }) => key)).toEqual(['A']);
    expect(await floor.operations.list({ ...ended, type: 'orders.other' })).toEqual([]);
    expect(await keys({ customer: 17_850 })).toEqual(['B']);
    expect(await attributesOf(first)).toEqual({ customer: 17_850, region: 'uk' });
  });

  test('may have names and values with a special meaning in JavaScript, SQL and the command line', async () => {
    const odd = {
      constructor: 'toString',
      __proto: 'x',
      toString: true,
      'a.b-c_d': -0.5,
      hasOwnProperty: '=',
      e: '💷',
    };
    await opened(shipping(() => ({ ...odd, ['__proto__']: 'p' }) as never));
    const id = (await floor.start(floor.definitions.get('orders.ship', 1) as never, 'A', { customer: 1 })).id;
    for (const [name, value] of [...Object.entries(odd), ['__proto__', 'p'] as const]) {
      const json = await command('list', '--where', `${name}=${value}`, '--json');
      expect([name, (JSON.parse(json) as unknown[]).length]).toEqual([name, 1]);
    }
    const { attributes } = await floor.operations.show(id);
    expect(JSON.parse(JSON.stringify(attributes))).toEqual({ ...odd, ['__proto__']: 'p' });
    expect(await keys({ constructor: 'x' } as never)).toEqual([]);
    const shown = await command('show', id);
    expect(shown).toContain('attribute constructor=toString\n');
    expect(shown).toContain('attribute hasOwnProperty==\n');
  });

  test('are written in the transition that changes them, and nothing is written when nothing has changed', async () => {
    await opened();
    const rows = async (): Promise<unknown[]> => {
      const text = 'select name, value, xmin::text, ctid::text from waybill.saga_attribute order by 1';
      return (await floor.database.pool.query(text)).rows;
    };
    lorry.isAway = true;
    const id = await begin('A', { customer: 5 });
    const before = await rows();
    expect(before).toHaveLength(1);
    await go(id, { region: 'uk' });
    const [customer, region] = (await rows()) as { value: string }[];
    expect(customer).toEqual(before[0]);
    expect(region?.value).toBe('uk');
    const after = await rows();
    await tell(id, { type: 'retry', step: 'ship' });
    expect((await floor.operations.show(id)).revision).toBe(3);
    expect(await rows()).toEqual(after);
  });

  test('that are invalid leave the earlier ones, are logged once, and do not affect the saga', async () => {
    let made: () => unknown = () => ({ customer: 'first' });
    const definition = shipping(((data: Record<string, unknown>) => {
      delete data['customer'];
      data['big'] = 1n;
      return made();
    }) as never);
    await opened(definition);
    const bad: (() => unknown)[] = [
      () => {
        throw new Error('no such thing');
      },
      () => {
        throw null;
      },
      () => Promise.reject(new Error('later')),
      () => ({ customer: Promise.reject(new Error('later')) }),
      () => ({ 'no name': Promise.reject(new Error('later')) }),
      () => ({ customer: null }),
      () => ({ customer: '' }),
      () => ({ customer: 'x'.repeat(201) }),
      () => ({ customer: 'nul \0' }),
      () => ({ customer: 'half \ud800' }),
      () => ({ customer: Number.NaN }),
      () => ({ customer: Infinity }),
      () => ({ customer: 1n }),
      () => ({ customer: ['a'] }),
      () => ({ customer: new Date() }),
      () => ({ customer: Symbol('s') }),
      () => ({ customer: () => 'x' }),
      () => ({ '': 'x' }),
      () => ({ '-x': 'x' }),
      () => ({ 'a=b': 'x' }),
      () => Object.fromEntries(numbers(21).map((name) => [name, 1])),
      () => [],
      () => null,
      () => undefined,
      () => 'customer',
      () => new Map([['customer', 'x']]),
      () => Object.defineProperty({}, 'customer', { enumerable: true, get: () => JSON.parse('{') }),
      () => new Proxy({}, { ownKeys: () => [1] as never }),
    ];
    for (const [index, each] of bad.entries()) {
      made = () => ({ customer: 'first' });
      const id = await begin(`A-${index}`, { customer: 1 }, definition);
      made = each;
      await go(id);
      const { state, attributes, instance } = await floor.operations.show(id);
      expect([index, state, { ...attributes }]).toEqual([index, 'COMPLETED', { customer: 'first' }]);
      expect(instance.data).toEqual({ customer: 1 });
    }
    expect(warnings).toEqual([
      expect.stringMatching(/^the attributes of saga orders\.ship .* no such thing/),
    ]);
    made = () => ({ customer: 'x'.repeat(200), n: undefined });
    expect(await attributesOf(await begin('B', { customer: 1 }, definition))).toEqual({
      customer: 'x'.repeat(200),
    });
  });

  test('added to a definition later reach its running sagas and leave its fingerprint unchanged; they can be removed', async () => {
    const plain = shipping();
    await opened(plain);
    const [old, other] = [await begin('A', { customer: 7 }, plain), await begin('B', { customer: 7 }, plain)];
    const fingerprint = (): Promise<string> =>
      floor.fixture.value('select min(fingerprint) from waybill.saga');
    const before = await fingerprint();
    expect(await floor.fixture.value('select count(*)::int from waybill.saga_attribute')).toBe(0);
    const engineOf = (definition: unknown): SagaEngine =>
      new SagaEngine({
        definitions: new SagaDefinitions([definition as SagaDefinition]),
        outbox: floor.outbox,
        group: 'orders',
        logger,
      });
    lorry.isAway = true;
    await go(old, null, engineOf(found));
    expect(await keys({ customer: 7 })).toEqual(['A']);
    expect(await fingerprint()).toBe(before);
    // A process of the previous release leaves them; one whose function returns none removes them.
    await tell(old, { type: 'retry', step: 'ship' }, engineOf(plain));
    expect(await keys({ customer: 7 })).toEqual(['A']);
    const another = shipping((() => ({ region: 'uk' })) as never);
    await tell(old, { type: 'retry', step: 'ship' }, engineOf(another));
    expect(await attributesOf(old)).toEqual({ region: 'uk' });
    expect(await keys({ customer: 7 })).toEqual([]);
    await tell(old, { type: 'retry', step: 'ship' }, engineOf(shipping(() => ({}))));
    expect(await attributesOf(old)).toEqual({});
    expect((await floor.operations.show(other)).attributes).toEqual({});
  });

  test('are removed with their saga', async () => {
    await opened();
    const [gone, kept] = [await begin('A', { customer: 7 }), await begin('B', { customer: 7 })];
    await go(gone);
    const { pool } = floor.database;
    const retention = new SagaRetention(floor.database, { endedMs: 0 });
    const left = (): Promise<number> =>
      floor.fixture.value('select count(*)::int from waybill.saga_attribute');
    // What began less than 8 days ago is left to be emptied with its slot, which a running one delays.
    await retention.runOnce();
    expect(await left()).toBe(2);
    // Years ago one ended and one did not: the one that ended is removed by itself.
    const years = { A: '01000000-0000-7000-8000-000000000001', B: '01000000-0000-7000-8000-000000000002' };
    await pool.query('update waybill.saga set id = $1 where id = $2', [years.B, kept]);
    for (const table of ['saga_ended', 'saga_transition', 'saga_attribute'])
      for (const [old, id] of [
        [gone, years.A],
        [kept, years.B],
      ]) {
        const column = table === 'saga_ended' ? 'id' : 'saga_id';
        const text = `update waybill.${table} set ${column} = $1, slot = waybill.saga_slot($1) where ${column} = $2`;
        await pool.query(text, [id, old]);
      }
    await pool.query(`update waybill.saga_ended set ended_at = now() - interval '99 days'`);
    await retention.runOnce();
    expect(await keys({ customer: 7 })).toEqual(['B']);
    expect(await left()).toBe(1);
    await go(years.B);
    await retention.runOnce();
    expect(await left()).toBe(0);
  });

  test('are found by an index among 100,000 sagas, by the rarest attribute', async () => {
    await opened();
    const { pool } = floor.database;
    await pool.query(
      `with made as (
         insert into waybill.saga (id, saga_type, definition_version, saga_key, reply_topic, state, started_at, changed_at, content)
         select waybill.uuid_v7(), 'orders.ship', 1, 'K-' || n, 'orders.saga-replies', 1 + (n % 100 = 0)::int * 2, now(), now(), '{}'
           from generate_series(1, 100000) n returning id, substr(saga_key, 3)::int as n)
       insert into waybill.saga_attribute (slot, saga_id, name, reply_topic, kind, value)
       select waybill.saga_slot(m.id), m.id, a.name, 'orders.saga-replies', 'string', a.value from made m
        cross join lateral (values ('customer', (m.n % 20000)::text), ('region', case when m.n % 2 = 0 then 'uk' else 'de' end)) a (name, value)`,
    );
    await pool.query('analyze waybill.saga, waybill.saga_attribute');
    const slot = await floor.fixture.value('select max(slot) from waybill.saga_attribute');
    const text = (await builtStatements()).find(({ name }) => name === 'find-sagas')?.text ?? '';
    const under = [[1, 2, 3], null, null, 0, null, 100];
    const plan = async (values: unknown[]): Promise<{ plan: string; pages: number }> => {
      const { rows } = await pool.query({
        text: `explain (analyze, buffers) ${text}`,
        values: [...under, ...values],
        rowMode: 'array',
      });
      const lines = (rows as string[][]).flat().join('\n');
      // The first node counts what all of them read.
      const [, hit = 0, read = 0] = /Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?/.exec(lines) ?? [];
      return { plan: lines, pages: Number(hit) + Number(read) };
    };
    for (const values of [
      ['customer', '17850', [], []],
      ['customer', '17850', ['region'], ['uk']],
      ['region', 'uk', [], []],
    ]) {
      const seen = await plan(values);
      expect(seen.plan).toContain(`saga_attribute_s${slot}_name_value_saga_id_idx`);
      // Slots without rows are read sequentially.
      expect(seen.plan).not.toMatch(new RegExp(`Seq Scan on (saga|saga_attribute_s${slot})\\b`));
      expect(seen.pages).toBeLessThan(300);
    }
    const both = await floor.operations.list({
      where: { region: 'uk', customer: 17_850 },
      states: ['RUNNING'],
    });
    expect(both.map(({ key }) => key).toSorted()).toEqual(
      [17_850, 37_850, 57_850, 77_850, 97_850].map((n) => `K-${n}`),
    );
  });

  test('in an invalid query are refused', async () => {
    await opened();
    for (const where of [
      { customer: '' },
      { customer: null },
      { customer: undefined },
      { 'no name': 1 },
      { customer: 'x'.repeat(201) },
      ['customer'],
    ])
      await expect(floor.operations.list({ where: where as never })).rejects.toThrow(ConfigurationError);
    await expect(floor.operations.list({ wher: {} } as never)).rejects.toThrow('did you mean where?');
    for (const [words, why] of [
      [['list', '--where', 'customer'], '--where takes name=value, got customer'],
      [['list', '--where', '=5'], '--where takes name=value'],
      [['list', '--where', 'customer='], 'must be a string of 1 to 200 characters'],
      [['list', '--where', 'a=1', '--where', 'a=2'], 'gives a twice'],
      [['list', '--where', 'no name=1'], 'the name "no name" must be'],
    ] as const)
      await expect(command(...words)).rejects.toThrow(why);
  });
});
