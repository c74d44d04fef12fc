import { BatchFailure } from '@waybill/consumer';
import { droppedBy, failureIn } from '@waybill/consumer/internal';

/** Runs work for one message unless that was done before. */
export type Once = (work: () => Promise<null>) => Promise<unknown>;

/** Runs the handler with some messages of the batch, by their indexes in it. */
export type RunFresh = (fresh: readonly number[]) => Promise<unknown>;

/**
 * Runs a batch handler with the messages that it has not handled before. They are entered one after the other, because their
 * guards share a transaction; then they wait for the handler's end.
 * @returns what the handler returned about the messages, for the whole batch
 * @throws BatchFailure with the index in the whole batch: for a guard that refuses a message, and for a verdict; otherwise what
 *   the handler throws
 */
export async function onceEach(guards: readonly Once[], run: RunFresh): Promise<unknown> {
  const entered = new Map<number, Entered>();
  try {
    for (const [index, once] of guards.entries()) {
      const message = await enter(once).catch((error: unknown) => {
        throw new BatchFailure(index, error);
      });
      if (message !== undefined) entered.set(index, message);
    }
    const verdicts = entered.size === 0 ? undefined : await runFresh([...entered.keys()], run, guards.length);
    for (const message of entered.values()) await message.done();
    return verdicts;
  } catch (error) {
    for (const message of entered.values()) await message.failed(error);
    throw error;
  }
}

/** A message whose guard waits for the handler's end. */
interface Entered {
  /** @throws what the guard throws when it stores the end */
  readonly done: () => Promise<void>;
  readonly failed: (error: unknown) => Promise<void>;
}

/** @returns undefined for a message that was handled before. @throws what the guard throws */
async function enter(once: Once): Promise<Entered | undefined> {
  return new Promise((resolve, reject) => {
    const ended = once(
      () =>
        new Promise<null>((succeed, fail) => {
          resolve({
            done: async () => {
              succeed(null);
              await ended;
            },
            failed: async (error) => {
              fail(error);
              await ended.catch(() => {});
            },
          });
        }),
    );
    ended.then(() => resolve(undefined), reject);
  });
}

/** Runs the handler with some of the messages; what it says of them is said of the whole batch. */
async function runFresh(fresh: readonly number[], run: RunFresh, count: number): Promise<unknown> {
  try {
    const reply = await run(fresh);
    const dropped = droppedBy(reply, fresh.length);
    if (dropped.length === 0) return undefined;
    const verdicts: unknown[] = Array.from({ length: count });
    for (const { index, verdict } of dropped) verdicts[fresh[index] ?? -1] = verdict;
    return verdicts;
  } catch (thrown) {
    const { at, error } = failureIn(thrown, fresh.length);
    throw at === undefined ? error : new BatchFailure(fresh[at] ?? -1, error);
  }
}
