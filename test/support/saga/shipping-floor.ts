import { createProgram } from '@waybill/cli';
import type { Logger } from '@waybill/kernel';
import type { SagaDefinition, SagaEvent } from '@waybill/saga';
import { SagaFloor } from './sagas.js';
import { found, lorry, type Order } from './shipping-sagas.js';

/** The database and the service of the running test. */
export let floor: SagaFloor;
export const warnings: string[] = [];
export const logger: Logger = { debug() {}, info() {}, warn: (text) => warnings.push(text), error() {} };

/** After each test. */
export async function closeFloor(): Promise<void> {
  process.exitCode = undefined;
  warnings.length = 0;
  lorry.isAway = false;
  await floor.close();
}

export async function opened(definition: SagaDefinition<Order, Order> = found): Promise<void> {
  floor = await SagaFloor.open([definition as never], { logger });
}

/** Sends a saga a message through the engine itself, so that nothing else happens. */
export function tell(id: string, event: SagaEvent, engine = floor.engine): Promise<unknown> {
  return floor.runner.run({ work: (tx) => engine.tell(tx as never, id, event), timeoutMs: 30_000 });
}

export const go = (id: string, payload: unknown = null, engine = floor.engine): Promise<unknown> =>
  tell(id, { type: 'signal', name: 'go', payload }, engine);

export async function begin(key: string, data: Order, definition = found): Promise<string> {
  return (await floor.start(definition, key, data)).id;
}

/** Sagas that are stuck at their step `ship`. */
export async function stuck(keys: readonly string[], data: Order = { customer: 17_850 }): Promise<string[]> {
  lorry.isAway = true;
  const ids: string[] = [];
  for (const key of keys) {
    const id = await begin(key, data);
    await go(id);
    ids.push(id);
  }
  lorry.isAway = false;
  return ids;
}

export const keys = async (where: Record<string, string | number | boolean>): Promise<string[]> =>
  (await floor.operations.list({ where })).map(({ key }) => key);

export const attributesOf = async (id: string): Promise<unknown> => ({
  ...(await floor.operations.show(id)).attributes,
});

export async function command(...words: string[]): Promise<string> {
  let printed = '';
  const program = createProgram({ write: (text) => (printed += text) });
  for (const one of program.commands.flatMap((each) => [each, ...each.commands]))
    one.exitOverride().configureOutput({ writeErr: () => {} });
  await program.parseAsync(['node', 'waybill', ...floor.fixture.urlArguments, 'saga', ...words]);
  return printed;
}

export const numbers = (n: number): string[] => Array.from({ length: n }, (_, index) => `S-${index}`);
