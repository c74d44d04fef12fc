import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import {
  type EffectQueryResult,
  type EffectCall,
  EffectOperations,
  ExternalEffects,
  type ExternalEffectsOptions,
} from '@waybill/guard';
import { EffectRefusedError } from '@waybill/kernel';
import { waitUntil } from '@waybill/testing';
import { endEffectLease } from '../support/effects.js';
import { Fixture } from '../support/fixture.js';
import { Gateway } from '../support/gateway.js';

interface Receipt {
  readonly receipt: number;
}

let fixture: Fixture;
let gateway: Gateway;
beforeAll(async () => {
  fixture = await Fixture.create({});
  gateway = await Gateway.start();
});
afterAll(async () => {
  await gateway.close();
  await fixture.close();
});

let keys = 0;
let key: string;
beforeEach(() => {
  keys += 1;
  key = `charge-${keys}`;
  for (const name of Object.keys(gateway.mood)) delete (gateway.mood as Record<string, unknown>)[name];
});
afterEach(() => {
  process.exitCode = undefined;
});

const send = (method: string, { idempotencyKey, signal }: EffectCall) =>
  fetch(gateway.url, { method, signal, headers: { 'idempotency-key': idempotencyKey } });

async function attempt(call: EffectCall): Promise<Receipt> {
  const response = await send('POST', call);
  const body = (await response.json()) as Receipt & { reason: string };
  if (response.status === 402) throw new EffectRefusedError(body.reason);
  if (!response.ok) throw new Error(`the gateway answered ${response.status}`);
  return body;
}

async function query(call: EffectCall): Promise<EffectQueryResult<Receipt>> {
  const response = await send('GET', call);
  if (response.status === 404) return { state: 'not-done' };
  return response.ok ? { state: 'done', outcome: (await response.json()) as Receipt } : { state: 'unknown' };
}

/** What is in progress is so however slow this machine is: `endLease` ends the lease, and no time that passes. */
const LONG = { leaseMs: 600_000, timeoutMs: 300_000 };
const endLease = () => endEffectLease(fixture, key);
const effectsOf = (options: ExternalEffectsOptions = {}) =>
  new ExternalEffects(fixture.database.session, options);
const charge = (request?: unknown, options: ExternalEffectsOptions = {}) =>
  effectsOf(options).run({ key, request, attempt, query });
const undo = (keyAfterRefusal?: 'same' | 'new') =>
  effectsOf().undo({ key, query, undo: attempt, ...(keyAfterRefusal && { keyAfterRefusal }) });
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: { code: string }) => error.code,
  );
const operations = () => new EffectOperations({ database: fixture.database });
const ada = { by: 'ada', reason: 'asked the gateway' };

describe('a key that was used for another request', () => {
  test('is refused, whether the first was done, refused or is open, and no call is made', async () => {
    const first = await charge({ pence: 1_000, to: { name: 'Ada', constructor: 1 } });
    expect(await charge({ to: { constructor: 1, name: 'Ada' }, pence: 1_000 })).toEqual(first);
    for (const other of [
      { pence: 1_001 },
      null,
      1_000,
      [],
      { pence: 1_000 },
      { pence: 1_000, to: { name: 'Ada' } },
    ]) {
      const differs = charge(other);
      await expect(differs).rejects.toMatchObject({ code: 'EFFECT_REQUEST_DIFFERS', retryable: false, key });
    }
    // A call that does not give its request is not compared.
    expect(await charge()).toEqual(first);
    expect(gateway.calls(key)).toBe(1);
    expect(await undo()).toMatchObject({ state: 'undone' });
    expect(await codeOf(charge({ pence: 1 }))).toBe('EFFECT_REQUEST_DIFFERS');
  });

  test('is refused while the outcome of the first is unknown, and after a refusal', async () => {
    gateway.mood.broken = true;
    expect(await codeOf(charge({ pence: 1 }, LONG))).toBe('EFFECT_UNKNOWN');
    expect(await codeOf(charge({ pence: 2 }, LONG))).toBe('EFFECT_REQUEST_DIFFERS');
    gateway.mood.broken = false;
    gateway.mood.declines = true;
    await endLease();
    expect(await codeOf(charge({ pence: 1 }))).toBe('EFFECT_REFUSED');
    expect(await codeOf(charge({ pence: 2 }))).toBe('EFFECT_REQUEST_DIFFERS');
  });

  test.each([
    [[1, [2]], [[1, 2]]],
    [{ a: 1 }, ['{}', ['a', 1]]],
    [
      { 1: 'a', 0: 'b' },
      { 0: 'a', 1: 'b' },
    ],
    ['1', 1],
  ])('%j is not %j', async (one, other) => {
    await charge(one);
    expect(await codeOf(charge(other))).toBe('EFFECT_REQUEST_DIFFERS');
  });

  test('must give its request as JSON', async () => {
    for (const request of [1n, () => 1, Number.NaN])
      expect(await codeOf(charge(request))).toBe('CONFIGURATION_INVALID');
    expect(gateway.calls(key)).toBe(0);
  });
});

describe('an undoing that was refused', () => {
  test('is retried by the next call, and the last outcome counts', async () => {
    await charge();
    gateway.mood.declines = true;
    expect(await codeOf(undo())).toBe('EFFECT_REFUSED');
    expect(await codeOf(undo())).toBe('EFFECT_REFUSED');
    expect(gateway.calls(`${key}:undo`)).toBe(2);
    // The effect remains, so the first outcome is returned.
    expect(await charge()).toMatchObject({ receipt: expect.any(Number) });
    gateway.mood.declines = false;
    const undone = await undo();
    expect(undone).toMatchObject({ state: 'undone' });
    expect(await undo()).toEqual(undone);
    expect([gateway.calls(`${key}:undo`), gateway.done(`${key}:undo`)]).toEqual([3, 1]);
    expect(await codeOf(charge())).toBe('EFFECT_UNDONE');
    expect(gateway.calls(key)).toBe(1);
  });

  test('may have a new key for each try, even when its process crashes in between', async () => {
    await charge();
    gateway.mood.declines = true;
    expect(await codeOf(undo('new'))).toBe('EFFECT_REFUSED');
    gateway.mood.declines = false;
    gateway.mood.cuts = true;
    const dying = new ExternalEffects(fixture.database.session, LONG);
    expect(await codeOf(dying.undo({ key, query, undo: attempt, keyAfterRefusal: 'new' }))).toBe(
      'EFFECT_UNKNOWN',
    );
    gateway.mood.cuts = false;
    await endEffectLease(fixture, `${key}:undo`);
    expect(await undo('new')).toMatchObject({ state: 'undone' });
    expect([gateway.calls(`${key}:undo`), gateway.calls(`${key}:undo:2`)]).toEqual([1, 1]);
    expect(gateway.done(`${key}:undo:2`)).toBe(1);
    expect(await codeOf(undo('other' as 'new'))).toBe('CONFIGURATION_INVALID');
  });
});

describe('an operator', () => {
  const open = async (): Promise<void> => {
    gateway.mood.broken = true;
    expect(await codeOf(charge({ pence: 7 }, LONG))).toBe('EFFECT_UNKNOWN');
    gateway.mood.broken = false;
  };
  const command = async (...words: string[]): Promise<string> => {
    let printed = '';
    const program = createProgram({ write: (text) => (printed += text) });
    await program.parseAsync(['node', 'waybill', ...fixture.urlArguments, 'effect', ...words]);
    return printed;
  };

  test('lists what is open, and records that it has happened: later callers get that outcome, and it can be undone', async () => {
    await open();
    await endLease();
    expect(await command('list')).toContain(key);
    expect(await command('list', '--state', 'open', '--older-than', '1h')).not.toContain(key);
    expect(await command('list', '--state', 'done', 'refused')).not.toContain(`${key} `);
    expect(await command('show', key)).toMatch(/unknown {2}1 attempts/);
    expect(await command('decide', key, 'done', '{"receipt":77}')).toContain('use --yes to decide this');
    expect((await operations().show(key)).state).toBe('unknown');
    expect(
      await command('decide', key, 'done', '{"receipt":77}', '--by', 'ada', '--because', 'seen', '--yes'),
    ).toContain('was unknown, and is done');
    expect(await command('show', key, '--payload')).toContain('{"receipt":77}');
    expect(await charge()).toEqual({ receipt: 77 });
    expect(await codeOf(charge({ pence: 8 }))).toBe('EFFECT_REQUEST_DIFFERS');
    expect(await undo()).toMatchObject({ state: 'undone' });
    await expect(command('decide', key, 'not-done', '--yes')).rejects.toMatchObject({
      code: 'EFFECT_DECIDED',
    });
    const { rows } = await fixture.database.pool.query(
      'select stated_by, action, reason, details from waybill.operator_action where target = $1',
      [key],
    );
    expect(rows).toEqual([
      { stated_by: 'ada', action: 'effect.done', reason: 'seen', details: { before: 'unknown' } },
    ]);
  });

  test('records that it has not happened: the next caller attempts it without a query, and an undo gives it up', async () => {
    await open();
    gateway.mood.deaf = true;
    expect(await operations().decide(key, 'not-done', ada)).toMatch(/unknown|in-progress/);
    expect(await charge({ pence: 7 })).toMatchObject({ receipt: expect.any(Number) });
    expect(gateway.calls(key)).toBe(2);
    keys += 1;
    key = `charge-${keys}`;
    gateway.mood.deaf = false;
    await open();
    gateway.mood.deaf = true;
    await operations().decide(key, 'not-done', ada);
    expect(await undo()).toEqual({ state: 'nothing' });
    expect(await codeOf(charge())).toBe('EFFECT_UNDONE');
    expect((await operations().show(key)).state).toBe('given-up');
    expect(await codeOf(operations().decide(key, 'not-done', ada))).toBe('EFFECT_DECIDED');
  });

  test('decides while a process is attempting it, and the process finds the decision', async () => {
    let letGo: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    gateway.mood.before = () => gate;
    gateway.mood.declines = true;
    const late = charge();
    late.catch(() => undefined);
    await waitUntil(() => gateway.calls(key) === 1, { describe: () => 'the call is running' });
    expect((await operations().list()).map((effect) => effect.key)).toContain(key);
    expect(await operations().decide(key, 'done', ada, { receipt: 5 })).toBe('in-progress');
    letGo();
    expect(await late).toEqual({ receipt: 5 });
    keys += 1;
    key = `charge-${keys}`;
    let second: () => void = () => undefined;
    const again = new Promise<void>((resolve) => (second = resolve));
    gateway.mood.before = () => again;
    const fenced = charge();
    fenced.catch(() => undefined);
    await waitUntil(() => gateway.calls(key) === 1, { describe: () => 'the second call is running' });
    await operations().decide(key, 'not-done', ada);
    second();
    expect(await codeOf(fenced)).toBe('FENCED');
  });

  test('settles a refused undoing by hand', async () => {
    await charge();
    gateway.mood.declines = true;
    expect(await codeOf(undo())).toBe('EFFECT_REFUSED');
    expect(await command('list', '--state', 'refused')).toContain(`${key}:undo`);
    expect(await operations().show(`${key}:undo`)).toMatchObject({
      state: 'refused',
      outcome: 'no cover',
      refusals: 1,
    });
    await operations().decide(`${key}:undo`, 'done', ada, { paidBack: 'by hand' });
    expect(await undo()).toEqual({ state: 'undone', outcome: { paidBack: 'by hand' } });
    expect(gateway.calls(`${key}:undo`)).toBe(1);
  });

  test('gets typed errors for what cannot be decided or does not exist', async () => {
    await open();
    expect(await codeOf(operations().decide('nothing', 'done', ada))).toBe('NOT_FOUND');
    expect(await codeOf(operations().show('nothing'))).toBe('NOT_FOUND');
    for (const work of [
      operations().decide(key, 'constructor' as 'done', ada),
      operations().decide(key, 'not-done', ada, 1),
      operations().decide(key, 'done', { by: ' ' }),
      operations().list({ states: ['toString' as 'done'] }),
      operations().list({ limit: 0 }),
    ])
      expect(await codeOf(work)).toBe('CONFIGURATION_INVALID');
    await expect(command('decide', key, 'done', '{', '--yes')).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
    });
    for (const unusable of ['a\0b', '\ud800', 7, null])
      expect(await codeOf(effectsOf().run({ key: unusable as string, attempt, query }))).toBe(
        'CONFIGURATION_INVALID',
      );
    for (const name of ['constructor', '__proto__']) {
      const run = () => effectsOf().run({ key: name, request: { [name]: 1 }, attempt, query });
      expect(await run()).toEqual(await run());
      expect(gateway.calls(name)).toBe(1);
    }
  });
});
