import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Answer, Order } from './client.js';

/** A client process, and what it is told to do. */
export class ClientProcess {
  readonly #child: ChildProcess;

  /** @param profile the file, without its ending, that gets its CPU profile */
  constructor(profile?: string) {
    const flags = ['--cpu-prof', '--cpu-prof-dir', dirname(profile ?? ''), '--cpu-prof-name'];
    const execArgv = profile === undefined ? [] : [...flags, `${basename(profile)}.cpuprofile`];
    this.#child = fork(fileURLToPath(new URL('client.js', import.meta.url)), { stdio: 'inherit', execArgv });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  async tell(order: Order): Promise<Answer> {
    type Reply = { readonly answer?: Answer; readonly error?: string };
    const over = new AbortController();
    const { signal } = over;
    const answered = once(this.#child, 'message', { signal }) as Promise<[Reply]>;
    const ended = once(this.#child, 'exit', { signal }).then((): [Reply] => [
      { error: 'a process of the benchmark ended' },
    ]);
    this.#child.send(order);
    const [{ answer, error }] = await Promise.race([answered, ended]);
    over.abort();
    await Promise.allSettled([answered, ended]);
    if (answer === undefined) throw new Error(error);
    return answer;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }
}

/** @param profile where their CPU profiles go: the names of the files begin so */
export async function inProcesses<T>(
  work: (producer: ClientProcess, consumer: ClientProcess) => Promise<T>,
  profile?: string,
): Promise<T> {
  const processes = ['producer', 'consumer'].map(
    (role) => new ClientProcess(profile === undefined ? undefined : `${profile}-${role}`),
  ) as [ClientProcess, ClientProcess];
  try {
    const result = await work(...processes);
    for (const one of processes) await one.tell({ kind: 'close' });
    return result;
  } finally {
    await Promise.all(processes.map((one) => one.end()));
  }
}
