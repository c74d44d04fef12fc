import { bindStatement, type PgConnection } from '@waybill/kernel';
import type { SagaDefinition, SagaEvent, SagaInstance, SagaOutput } from '@waybill/saga';
import { isVoid, isWithdrawn, nextTransition } from '@waybill/saga/internal';
import { ModelDatabase } from '../../model/model-database.js';
import type { ModelServer } from '../../model/model-server.js';
import { SimProcess } from '../../scheduler/sim-process.js';
import type { World } from '../../scheduler/world.js';
import {
  type Command,
  isDue,
  loadSaga,
  localEffect,
  type Mood,
  type SagaModel,
  serve,
  storeSaga,
  takeMessage,
} from './saga-model.js';

const IDLE_MS = 200;

/** The processes of a saga: two with its engine, one of its participants. One that crashes is started again. */
export class SagaProcesses {
  readonly #processes: SimProcess[] = [];

  constructor(
    private readonly world: World,
    private readonly server: ModelServer,
    private readonly model: SagaModel,
    private readonly definition: SagaDefinition,
  ) {}

  start(): void {
    for (const name of ['engine 1', 'engine 2', 'participant']) this.#startOne(name);
    this.world.strike = () => {
      const process = this.#processes[this.world.choices.below(this.#processes.length)] as SimProcess;
      this.world.note(() => `FAULT: ${process.name} crashes`);
      process.crash();
      this.#processes.splice(this.#processes.indexOf(process), 1);
      this.#startOne(process.name);
    };
  }

  #startOne(name: string): void {
    const process = new SimProcess(this.world, name);
    this.#processes.push(process);
    const database = new ModelDatabase(this.server, process);
    const isEngine = name.startsWith('engine');
    process.spawn(async () => {
      for (;;) {
        const hasWork = this.model.hasWork(isEngine ? 'saga' : 'participant');
        const wasBusy =
          hasWork &&
          (await database
            .withConnection((connection) => (isEngine ? this.#engine(connection) : this.#serve(connection)))
            .catch(() => false));
        if (!wasBusy) await process.clock.sleep(IDLE_MS);
      }
    });
  }

  /** One message to the saga, or what is due. @returns whether there was anything to do */
  async #engine(connection: PgConnection): Promise<boolean> {
    const take = bindStatement(takeMessage, 'saga');
    const [messages] = await connection.runBatch([take], { begin: true });
    const [message] = messages as { readonly event: SagaEvent }[];
    // Order by lock, then look: the instance is read under its row's lock.
    const [row] = await connection.run(loadSaga);
    if (row === undefined) return false;
    const nowMs = this.world.nowMs - row.startedMs;
    const event = message?.event ?? (isDue(row.instance, nowMs) ? ({ type: 'due' } as const) : undefined);
    if (event === undefined) {
      await connection.rollback();
      return false;
    }
    const work = new Transition(this.world, this.definition, row.instance, nowMs);
    await work.take(event, connection);
    const store = bindStatement(storeSaga, work.instance, work.commands);
    await connection.runBatch([store], { commit: true });
    return true;
  }

  async #serve(connection: PgConnection): Promise<boolean> {
    const take = bindStatement(takeMessage, 'participant');
    const [messages] = await connection.runBatch([take], { begin: true });
    const [message] = messages as { readonly command: Command }[];
    if (message === undefined) {
      await connection.rollback();
      return false;
    }
    const { choices, isStormy } = this.world;
    const moods: readonly Mood[] = ['done', 'done', 'done', 'silence', 'failed', 'rejected'];
    const mood = isStormy ? choices.oneOf(moods) : 'done';
    const usable = mood === 'rejected' && message.command.op === 'compensate' ? 'failed' : mood;
    await connection.runBatch([bindStatement(serve, message.command, usable)], { commit: true });
    return true;
  }
}

/** Runs the product's machine in one transaction, as TransitionWork does in libs/saga/src/engine. */
class Transition {
  readonly #outputs: Command[] = [];

  constructor(
    private readonly world: World,
    private readonly definition: SagaDefinition,
    public instance: SagaInstance,
    private readonly nowMs: number,
  ) {}

  /** The commands to send: what a later event of the transition has made void is not sent. */
  get commands(): Command[] {
    return this.#outputs.filter((output) => !isWithdrawn(this.instance, output));
  }

  async take(event: SagaEvent, connection: PgConnection): Promise<void> {
    const { instance, outputs } = nextTransition(this.definition, this.instance, event, this.nowMs);
    this.world.note(() => `the saga: ${event.type} ${JSON.stringify(event)} → ${instance.state}`);
    this.instance = instance;
    for (const output of outputs) {
      if (isVoid(this.instance, output)) continue;
      if (output.type === 'command') this.#outputs.push(output);
      else if (output.type === 'local') await this.take(await this.#local(output, connection), connection);
    }
  }

  async #local(
    { step, undo, attempt }: Extract<SagaOutput, { type: 'local' }>,
    connection: PgConnection,
  ): Promise<SagaEvent> {
    const { choices, isStormy } = this.world;
    const event = { type: 'local', step, undo, attempt } as const;
    const mood = isStormy ? choices.below(6) : 0;
    if (mood === 5 && !undo) return { ...event, status: 'rejected', error: 'no' };
    if (mood === 4) return { ...event, status: 'failed', error: 'trouble' };
    await connection.run(localEffect, step, undo);
    return { ...event, status: 'done' };
  }
}
