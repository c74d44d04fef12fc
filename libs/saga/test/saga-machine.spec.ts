import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { saga, sagaCommand, type SagaDefinition, tcc, tccBranch } from '../src/index.js';
import { chance, type Manners, type ModelSaga, SagaWorld } from './saga-world.js';

const command = sagaCommand<object, Record<string, number>>('participant.command');
const undoing = sagaCommand<object, void>('participant.undo');

interface Shape {
  /** Number of steps in each stage; several run in parallel. */
  readonly stages: readonly number[];
  readonly pivot: number | null;
  readonly locals: readonly boolean[];
  readonly deadlineMs: number | null;
}

const shapes: fc.Arbitrary<Shape> = fc.record({
  stages: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 5 }),
  pivot: fc.option(fc.nat(4)),
  locals: fc.array(fc.boolean(), { minLength: 15, maxLength: 15 }),
  deadlineMs: fc.option(fc.integer({ min: 1_000, max: 200_000 })),
});

const manners: fc.Arbitrary<Manners> = fc.record({
  reject: fc.constantFrom(0, 0.1, 0.4),
  fail: fc.constantFrom(0, 0.1, 0.3),
  silence: fc.constantFrom(0, 0.2),
  duplicate: fc.constantFrom(0, 0.2),
  undoFails: fc.boolean(),
});

/** Builds a saga of this shape. */
function sagaOf({ stages, pivot, locals, deadlineMs }: Shape): SagaDefinition {
  const builder = saga('test', deadlineMs === null ? {} : { deadlineMs });
  const step = { invoke: command, with: () => ({}), then: (reply: object) => reply } as const;
  const undo = { invoke: undoing, with: () => ({}) };
  const local = { run: async () => {}, undo: { run: async () => {} } };
  stages.forEach((size, stage) => {
    if (size === 1) {
      const name = `s${stage}`;
      if (locals[stage] === true) builder.local(name, { ...local, pivot: stage === pivot });
      else builder.step(name, { ...step, undo, pivot: stage === pivot });
      return;
    }
    builder.parallel((group) => {
      for (let index = 0; index < size; index += 1) {
        const name = `s${stage}-${index}`;
        if (locals[stage * 3 + index] === true) group.local(name, local);
        else group.step(name, { ...step, undo });
      }
      return group;
    });
  });
  return builder.build() as SagaDefinition;
}

/** Runs it to its end; an operator retries whatever is stuck, and skips final refusals. */
function run(world: SagaWorld): void {
  for (let moves = 0; moves < 20_000 && !world.ended; moves += 1) {
    world.move();
    for (const saga of world.sagas) {
      if (saga.instance.state !== 'STUCK') continue;
      for (const [step, { status, reason = '' }] of Object.entries(saga.instance.steps)) {
        if (status === 'stuck') saga.tell({ type: 'retry', step });
        else if (status === 'undo-stuck')
          saga.tell({ type: reason.includes('has passed its pivot') ? 'skip' : 'retry', step });
      }
    }
  }
}

/** Every effect at most once; a compensation only after its action. */
function assertOrder(effects: readonly string[]): void {
  expect(new Set(effects).size).toBe(effects.length);
  for (const [place, effect] of effects.entries()) {
    const at = effect.lastIndexOf('/');
    const [branch, op] = [effect.slice(0, at), effect.slice(at + 1)];
    const origin = op === 'compensate' ? 'action' : op === 'cancel' ? 'try' : undefined;
    if (origin !== undefined) expect(effects.slice(0, place)).toContain(`${branch}/${origin}`);
  }
}

function assertEnd(saga: ModelSaga): void {
  const { instance, effects } = saga;
  expect(instance.state).toMatch(/^(COMPLETED|COMPENSATED|CANCELLED)$/);
  assertOrder(effects);
  for (const { branch, forward, name, undo } of saga.steps) {
    if (forward.kind !== 'command' && forward.kind !== 'local') continue;
    const op = forward.kind === 'command' ? forward.op : 'action';
    const undoOp = undo?.kind === 'command' ? undo.op : 'compensate';
    const done = effects.includes(`${branch}/${op}`);
    const undone = effects.includes(`${branch}/${undoOp}`);
    if (instance.state === 'COMPLETED')
      expect({ name, done, undone }).toEqual({ name, done: true, undone: false });
    else if (undo !== undefined) expect({ name, same: done === undone }).toEqual({ name, same: true });
  }
  expect(saga.sentLate).toEqual([]);
  expect(saga.difference()).toBeUndefined();
}

describe('the saga machine, against a model of participants', () => {
  test('every saga ends, done as a whole or not at all, whatever is late, lost, duplicated or out of order', () => {
    fc.assert(
      fc.property(shapes, manners, fc.integer(), (shape, how, seed) => {
        const world = new SagaWorld(sagaOf(shape), {}, how, chance(seed));
        run(world);
        world.drain();
        assertEnd(world.root);
      }),
      { numRuns: 1_500 },
    );
  });

  test('TCC: all branches are confirmed, or all that were tried are cancelled', () => {
    const call = (name: string) => sagaCommand<object, object>(`trip.${name}`);
    const branch = tccBranch<object, object>({
      try: call('try'),
      confirm: call('confirm'),
      cancel: call('cancel'),
      with: () => ({}),
    });
    const trip = tcc('trip', { flight: branch, hotel: branch, car: branch }) as unknown as SagaDefinition;
    fc.assert(
      fc.property(manners, fc.integer(), (how, seed) => {
        const world = new SagaWorld(trip, {}, how, chance(seed));
        run(world);
        world.drain();
        assertOrder(world.effects);
        const of = (op: string): string[] => world.effects.filter((effect) => effect.endsWith(`/${op}`));
        if (world.instance.state === 'COMPLETED') {
          expect(of('confirm')).toHaveLength(3);
          expect(of('cancel')).toHaveLength(0);
        } else {
          expect(of('confirm')).toHaveLength(0);
          expect(of('cancel')).toHaveLength(of('try').length);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('the same events at the same times make the same saga', () => {
    fc.assert(
      fc.property(shapes, manners, fc.integer(), (shape, how, seed) => {
        const ends = [1, 2].map(() => {
          const world = new SagaWorld(sagaOf(shape), {}, how, chance(seed));
          for (let moves = 0; moves < 200 && !world.ended; moves += 1) world.move();
          return JSON.stringify([world.instance, world.effects]);
        });
        expect(ends[0]).toBe(ends[1]);
      }),
      { numRuns: 200 },
    );
  });

  test('lists: each item once, as many at a time as the limit allows, and undone as a whole', () => {
    const wide = fc.record({
      items: fc.array(fc.nat(9), { maxLength: 8 }),
      concurrency: fc.integer({ min: 1, max: 4 }),
      local: fc.boolean(),
    });
    fc.assert(
      fc.property(wide, manners, fc.integer(), ({ items, concurrency, local }, how, seed) => {
        const list = items.map((item, place) => `${item}-${place}`);
        const undo = { invoke: undoing, with: () => ({}) };
        const base = { items: () => list, key: (item: string) => item, concurrency };
        const each = saga<object>('each');
        const with1 = local
          ? each.forEach('line', { ...base, local: { run: async () => {}, undo: { run: async () => {} } } })
          : each.forEach('line', { ...base, step: { invoke: command, with: () => ({}), undo } });
        const definition = with1.step('last', { invoke: command, with: () => ({}), undo }).build();
        const world = new SagaWorld(definition as unknown as SagaDefinition, {}, how, chance(seed));
        run(world);
        world.drain();
        assertEnd(world.root);
        expect(world.root.mostAtOnce).toBeLessThanOrEqual(concurrency);
        const keys = world.root.steps.filter(({ lane }) => lane !== undefined).map(({ name }) => name);
        expect(keys).toEqual(list.map((key) => `line[${key}]`));
      }),
      { numRuns: 500 },
    );
  });

  test('nested pivots: a saga that has passed one, at any depth, is never undone', () => {
    const undo = { invoke: undoing, with: () => ({}) };
    const leaf = (pivot: boolean) =>
      saga<object>('leaf')
        .step('one', { invoke: command, with: () => ({}), undo })
        .step('two', { invoke: command, with: () => ({}), undo, pivot })
        .step('three', { invoke: command, with: () => ({}) })
        .build();
    const middle = (child: SagaDefinition, beside: boolean) => {
      const steps = saga<object>('middle').step('before', { invoke: command, with: () => ({}), undo });
      const started = { saga: child as never, key: () => 'leaf', with: () => ({}) };
      return beside
        ? steps
            .parallel((group) =>
              group.child('leaf', started).step('beside', { invoke: command, with: () => ({}), undo }),
            )
            .build()
        : steps
            .child('leaf', started)
            .step('after', { invoke: command, with: () => ({}), undo })
            .build();
    };
    const top = (child: SagaDefinition) =>
      saga<object>('top')
        .parallel((group) =>
          group
            .child('middle', { saga: child as never, key: () => 'middle', with: () => ({}) })
            .step('next', { invoke: command, with: () => ({}), undo }),
        )
        .build();
    fc.assert(
      fc.property(fc.boolean(), fc.boolean(), manners, fc.integer(), (pivot, beside, how, seed) => {
        const leafOf = leaf(pivot) as unknown as SagaDefinition;
        const middleOf = middle(leafOf, beside) as unknown as SagaDefinition;
        const topOf = top(middleOf) as unknown as SagaDefinition;
        const world = new SagaWorld(topOf, {}, how, chance(seed), [leafOf, middleOf]);
        run(world);
        world.drain();
        for (const each of world.sagas) {
          // An operator has skipped the compensation of a child that will not be undone.
          const skipped = Object.values(each.instance.steps).some(({ reason = '' }) =>
            reason.includes('has passed its pivot'),
          );
          expect(each.instance.state).toMatch(/^(COMPLETED|COMPENSATED|CANCELLED)$/);
          expect(each.sentLate).toEqual([]);
          if (!skipped) assertEnd(each);
          if (!pivot) expect(skipped).toBe(false);
        }
        const small = world.sagas.find(({ definition: { type } }) => type === 'leaf');
        if (small?.hasPassedPivot === true) expect(small.instance.state).toBe('COMPLETED');
      }),
      { numRuns: 1_000 },
    );
  });

  test('signals: each is taken once, in order, or reported', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 6 }),
        fc.integer({ min: 1, max: 4 }),
        manners,
        fc.integer(),
        (sent, waits, how, seed) => {
          let builder = saga<object>('signals').step('first', { invoke: command, with: () => ({}) });
          for (let place = 0; place < waits; place += 1)
            builder = builder.waitFor<number, object>(`w${place}`, {
              signal: 'paid',
              then: (n) => ({ [`w${place}`]: n }),
              timeoutMs: 50_000,
              onTimeout: 'continue',
            });
          const world = new SagaWorld(builder.build() as unknown as SagaDefinition, {}, how, chance(seed));
          const random = chance(seed + 1);
          for (let n = 0; n < sent; n += 1) {
            for (let moves = Math.floor(random() * 6); moves > 0; moves -= 1) world.move();
            if (world.ended) break;
            const event = { type: 'signal', name: 'paid', payload: n, id: `s${n}` } as const;
            world.tell(event);
            if (random() < how.duplicate) world.tell(event);
          }
          run(world);
          const { data, state } = world.instance;
          const taken = Object.keys(data)
            .filter((name) => name.startsWith('w'))
            .map((name) => data[name] as number);
          expect(taken).toEqual(taken.toSorted((a, b) => a - b));
          const all = [...taken, ...(world.unawaited as number[])];
          expect(new Set(all).size).toBe(all.length);
          if (state === 'COMPLETED') expect(world.instance.signals).toEqual({});
        },
      ),
      { numRuns: 500 },
    );
  });
});
