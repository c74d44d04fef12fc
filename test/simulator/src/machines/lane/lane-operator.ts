import type { ModelServer } from '../../model/model-server.js';
import type { World } from '../../scheduler/world.js';
import type { LaneModel } from './lane-model.js';

const LOOK_MS = 700;

/**
 * An operator who decides on the dead letters that messages wait for: ports of redrive_dead_letters and
 * discard_dead_letters in libs/schema/migrations/0005-operators.sql. Once nothing disturbs any more, all are discarded.
 */
export async function operate(world: World, server: ModelServer, model: LaneModel): Promise<void> {
  for (;;) {
    await world.sleep(LOOK_MS);
    for (const { offset } of model.deadLetters.committed.filter(({ state }) => state === 'open'))
      await decide(world, server, model, offset);
  }
}

async function decide(world: World, server: ModelServer, model: LaneModel, offset: number): Promise<void> {
  const isRedrive = world.isStormy && world.choices.rarely(2);
  const transaction = server.begin('operator');
  await server.locks.take(`dead ${offset}`, transaction, 'exclusive');
  const letter = model.deadLetters
    .seen(server.snapshot(), transaction)
    .find(({ row }) => row.offset === offset && row.state === 'open');
  if (letter === undefined) return server.rollback(transaction);
  server.xidOf(transaction);
  world.note(() => `the operator ${isRedrive ? 'redrives' : 'discards'} message ${offset}`);
  model.deadLetters.replace(transaction, letter, { state: isRedrive ? 'redriving' : 'discarded' });
  if (isRedrive) await model.parked.redrive(transaction, offset);
  else await model.parked.discard(transaction, offset);
  await world.step('operator commits');
  server.commit(transaction);
}
