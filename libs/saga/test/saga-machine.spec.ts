import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { saga, sagaCommand, type SagaDefinition, tcc, tccBranch } from '../src/index.js';
import { chance, type Manners, SagaWorld } from './saga-world.js';

const command = sagaCommand<object, Record<string, number>>('participant.command');
const undoing = sagaCommand<object, void>('participant.undo');

interface Shape {
  /** How many steps each stage has; more than one run side by side. */
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

/** Lets it run to its end; an operator tries again whatever is stuck. */
function run(world: SagaWorld): void {
  for (let moves = 0; moves < 20_000 && !world.ended; moves += 1) {
    world.move();
    if (world.instance.state !== 'STUCK') continue;
    for (const [step, { status }] of Object.entries(world.instance.steps))
      if (status === 'stuck' || status === 'undo-stuck') world.tell({ type: 'retry', step });
  }
}

/** Every effect once at most; a compensation only behind its action. */
function assertOrder(effects: readonly string[]): void {
  expect(new Set(effects).size).toBe(effects.length);
  for (const [place, effect] of effects.entries()) {
    const [branch, op] = effect.split('/');
    const origin = op === 'compensate' ? 'action' : op === 'cancel' ? 'try' : undefined;
    if (origin !== undefined) expect(effects.slice(0, place)).toContain(`${branch}/${origin}`);
  }
}

function assertEnd(world: SagaWorld): void {
  const { instance, definition, effects } = world;
  expect(instance.state).toMatch(/^(COMPLETED|COMPENSATED|CANCELLED)$/);
  world.drain();
  assertOrder(effects);
  for (const { branch, forward, name, undo } of definition.steps) {
    const op = forward.kind === 'command' ? forward.op : 'action';
    const undoOp = undo?.kind === 'command' ? undo.op : 'compensate';
    const done = effects.includes(`${branch}/${op}`);
    const undone = effects.includes(`${branch}/${undoOp}`);
    if (instance.state === 'COMPLETED')
      expect({ name, done, undone }).toEqual({ name, done: true, undone: false });
    else if (undo !== undefined) expect({ name, same: done === undone }).toEqual({ name, same: true });
  }
}

describe('the machine of sagas, against a model of participants', () => {
  test('every saga comes to its end, done as a whole or not at all, whatever is late, lost, doubled or out of order', () => {
    fc.assert(
      fc.property(shapes, manners, fc.integer(), (shape, how, seed) => {
        const world = new SagaWorld(sagaOf(shape), {}, how, chance(seed));
        run(world);
        assertEnd(world);
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
});
