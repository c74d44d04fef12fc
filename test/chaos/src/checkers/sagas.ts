import type { Evidence, Holdings, SagaEffect, StartedSaga, Violation } from './evidence.js';
import type { Scenario } from '../load/saga-definitions.js';

/** The steps of a saga that leave an effect, in their order. */
const STEPS = ['reserve', 'charge', 'book', 'ship', 'settle'];
/** Orders that cannot be carried out. */
const HOPELESS: ReadonlySet<Scenario> = new Set<Scenario>(['no-stock', 'no-money', 'no-lorry', 'silent']);
const ESCROW = 'escrow';
const SHOP = 'shop';

/** A saga is there if and only if the transaction that started it is committed: its order says so. */
export function checkSagaStarts({ history, sagas }: Evidence): Violation[] {
  const started = new Map(sagas.map((one) => [one.key, one]));
  const violations: Violation[] = [];
  for (const operation of history)
    if (operation.f === 'saga' && operation.type === 'ok' && !started.has(operation.key))
      violations.push({
        rule: 'acknowledged sagas exist',
        what: `the start of the saga of order ${operation.key} was acknowledged, and the order is gone`,
      });
  for (const { key, state } of sagas)
    if (state === null)
      violations.push({ rule: 'no saga is lost', what: `order ${key} is committed, and its saga is gone` });
  return violations;
}

/** Every saga ends completed or compensated, and an order that cannot be carried out is not completed. */
export function checkSagaEnds({ sagas }: Evidence): Violation[] {
  return sagas.flatMap(({ key, state, scenario }) => {
    if (state === null) return [];
    if (state !== 'COMPLETED' && state !== 'COMPENSATED')
      return [{ rule: 'every saga ends', what: `the saga of order ${key} (${scenario}) is ${state}` }];
    return state === 'COMPLETED' && HOPELESS.has(scenario)
      ? [
          {
            rule: 'a refused step is not passed over',
            what: `the saga of order ${key} is completed although it is ${scenario}`,
          },
        ]
      : [];
  });
}

const named = (effects: readonly SagaEffect[]): string =>
  effects.map(({ step, direction }) => (direction === 'do' ? step : `-${step}`)).join(' ');

/**
 * Each effect and each compensation happens once. A completed saga did all its steps, in their order, and undid none; what a
 * compensated one undid is exactly what it had done, in reverse order.
 */
export function checkSagaEffects({ sagas }: Evidence): Violation[] {
  return sagas.flatMap((one) => {
    const rule = brokenBy(one);
    return rule === undefined
      ? []
      : [{ rule, what: `the saga of order ${one.key} (${one.scenario}) did: ${named(one.effects)}` }];
  });
}

function brokenBy({ state, effects }: StartedSaga): string | undefined {
  const names = effects.map(({ step, direction }) => `${direction} ${step}`);
  if (new Set(names).size < names.length) return 'a step of a saga takes effect once';
  const stepsOf = (direction: string): string[] =>
    effects.filter((effect) => effect.direction === direction).map(({ step }) => step);
  const [done, undone] = [stepsOf('do').join(' '), stepsOf('undo').join(' ')];
  if (state === 'COMPLETED') {
    if (undone !== '') return 'a completed saga has undone nothing';
    return done === STEPS.join(' ') ? undefined : 'a completed saga has done its steps';
  }
  if (state !== 'COMPENSATED') return undefined;
  if (stepsOf('do').toSorted().join(' ') !== stepsOf('undo').toSorted().join(' '))
    return 'a compensated saga has undone what it had done';
  return undone === stepsOf('do').toReversed().join(' ') ? undefined : 'compensations are in reverse order';
}

/**
 * The sum of the accounts is the same in every look, no account and no shelf is below zero, and in the end they hold what the
 * completed sagas have left there.
 */
export function checkBank({ history, sagas, bank }: Evidence): Violation[] {
  const violations: Violation[] = [];
  const sum = [...bank.opening].reduce(
    (total, [name, amount]) => total + (name.startsWith('sku') ? 0 : amount),
    0,
  );
  for (const operation of history) {
    if (operation.f !== 'bank') continue;
    const { pence, poorest, fewest } = operation;
    if (pence !== sum)
      violations.push({
        rule: 'the sum of the bank is constant',
        what: `an observer saw ${pence}, not ${sum}`,
      });
    if (poorest < 0 || fewest < 0)
      violations.push({
        rule: 'nothing is below zero',
        what: `an observer saw an account with ${poorest} and a shelf with ${fewest}`,
      });
  }
  const expected = booksOf(bank.opening, sagas);
  for (const [name, amount] of expected)
    if (bank.closing.get(name) !== amount)
      violations.push({
        rule: 'the books agree with the sagas',
        what: `${name} has ${bank.closing.get(name) ?? 'nothing'}, and should have ${amount}`,
      });
  return violations;
}

/** What accounts and shelves should hold. */
function booksOf(opening: Holdings, sagas: readonly StartedSaga[]): Map<string, number> {
  const books = new Map(opening);
  const add = (name: string, amount: number): void => void books.set(name, (books.get(name) ?? 0) + amount);
  for (const { state, sku, customer, pence, effects } of sagas) {
    if (state === 'COMPENSATED') continue;
    // One that has not ended is a violation of its own.
    const has = (step: string): boolean =>
      effects.some((effect) => effect.step === step && effect.direction === 'do') &&
      !effects.some((effect) => effect.step === step && effect.direction === 'undo');
    if (has('reserve')) add(sku, -1);
    if (has('charge')) {
      add(customer, -pence);
      add(has('settle') ? SHOP : ESCROW, pence);
    }
  }
  return books;
}
