import { newInstance, type SagaInstance } from '@waybill/saga';
import { hasPassedPivot, isEnd } from '@waybill/saga/internal';
import { ModelServer } from '../../model/model-server.js';
import type { Transaction } from '../../model/transaction.js';
import type { Machine } from '../../runner/machine.js';
import type { World } from '../../scheduler/world.js';
import { type SagaShape, SHAPES } from './saga-definitions.js';
import { type Command, SagaModel } from './saga-model.js';
import { SagaProcesses } from './saga-processes.js';

const OPERATOR_MS = 3_000;

/** The product's saga machine between a model of its engine, of the log and of participants with barriers. */
export const sagaMachine: Machine = {
  what: 'the state machine of sagas',
  share: 5,
  world: { stormSteps: 150, mostSteps: 3_000, mostFaults: 5, faultOdds: 25, timeOdds: 12 },
  bugs: {
    'no-row-lock': 'two engines change a saga at the same time',
    'no-barrier': 'an action may be done after its empty compensation',
  },
  build(world, bug) {
    const server = new ModelServer(world);
    const shape = world.choices.oneOf(SHAPES);
    const instance = newInstance(shape.definition, { id: 'saga', key: 'saga', data: {} });
    const model = new SagaModel(server, instance, bug);
    const rules = new SagaRules(world, model, shape);
    server.onCommit = (transaction) => rules.check(transaction);
    new SagaProcesses(world, server, model, shape.definition).start();
    world.spawn(() => operate(world, server, model));
    world.isOver = () => isEnd(rules.instance.state) && model.isQuiet;
    return { atEnd: () => rules.atEnd() };
  },
};

/** An operator retries what is stuck. */
async function operate(world: World, server: ModelServer, model: SagaModel): Promise<void> {
  for (;;) {
    await world.sleep(OPERATOR_MS);
    const { state, steps } = (model.saga.committed[0] as { instance: SagaInstance }).instance;
    if (state !== 'STUCK') continue;
    const orders = server.begin('operator');
    for (const [step, { status }] of Object.entries(steps))
      if (status === 'stuck' || status === 'undo-stuck')
        model.send(orders, { event: { type: 'retry', step } });
    server.commit(orders);
  }
}

/** Every effect once, compensations in reverse order, the money where the saga's end says. */
class SagaRules {
  readonly #effects: string[] = [];
  readonly #undone = new Set<string>();
  #hasPassedPivot = false;

  constructor(
    private readonly world: World,
    private readonly model: SagaModel,
    private readonly shape: SagaShape,
  ) {}

  get instance(): SagaInstance {
    return (this.model.saga.committed[0] as { instance: SagaInstance }).instance;
  }

  check({ facts }: Transaction): void {
    for (const command of (facts.get('sent') ?? []) as Command[]) this.#sent(command);
    for (const effect of (facts.get('effect') ?? []) as string[]) this.#effect(effect);
    this.#hasPassedPivot ||= hasPassedPivot(this.shape.definition, this.instance);
  }

  #sent({ step, op }: Command): void {
    if (op === 'compensate') this.#undone.add(step);
    else if (this.#undone.has(step))
      this.world.broken('no command is sent after its compensation', `${step}/${op}`);
    if (op === 'compensate' && this.#hasPassedPivot)
      this.world.broken('behind the pivot nothing is compensated', step);
  }

  #effect(effect: string): void {
    const { world } = this;
    const [step = '', op] = effect.split('/');
    if (this.#effects.includes(effect)) world.broken('every effect happens once', effect);
    if (op === 'compensate') {
      if (!this.#effects.includes(`${step}/action`))
        world.broken('only what was done is compensated', effect);
      this.#assertReverse(step);
    } else if (this.#effects.includes(`${step}/compensate`))
      world.broken('nothing is done after its compensation', effect);
    this.#effects.push(effect);
  }

  /** Later steps have to be compensated before; of steps side by side, none is later. */
  #assertReverse(step: string): void {
    const { steps, isParallel } = this.shape;
    const later = steps.slice(steps.indexOf(step) + 1);
    const isSideBySide = (other: string): boolean =>
      isParallel && ![step, other].some((name) => name === steps[0] || name === steps.at(-1));
    for (const other of later)
      if (this.#isOpen(other) && !isSideBySide(other))
        this.world.broken('compensations come in reverse order', `${step} before ${other}`);
  }

  #isOpen(step: string): boolean {
    return this.#effects.includes(`${step}/action`) && !this.#effects.includes(`${step}/compensate`);
  }

  atEnd(): void {
    const { state } = this.instance;
    const open = this.shape.steps.filter((step) => this.#isOpen(step));
    const expected = state === 'COMPLETED' ? this.shape.steps : [];
    if (open.join() !== expected.join())
      this.world.broken(
        'the money is where the end says',
        `${state}, and moved: ${open.join(', ') || 'none'}`,
      );
  }
}
