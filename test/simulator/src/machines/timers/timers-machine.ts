import { silentLogger } from '@waybill/kernel';
import type { LogEngine } from '@waybill/log';
import { appendCall } from '@waybill/log/postgres/internal';
import { TIMER_KIND, TimerService } from '@waybill/timer';
import { TimerUpkeep } from '@waybill/timer/internal';
import { ModelDatabase } from '../../model/model-database.js';
import { ModelServer } from '../../model/model-server.js';
import type { Machine } from '../../runner/machine.js';
import { SimProcess } from '../../scheduler/sim-process.js';
import type { World } from '../../scheduler/world.js';
import { TimerModel } from './timer-model.js';
import { TimerRules } from './timer-rules.js';
import { TimerUsers } from './timer-users.js';

const POLL_MS = 400;
const UPKEEP_MS = 1_000;
const LEASE_MS = 1_000;
const STOPPED_MS = 3_000;
const HOUR_MS = 3_600_000;
const TOPIC = { name: 'orders', partitionIds: [1] };
/** The log as the timer service needs it: topics are not modelled, its appends are. */
const LOG = {
  topics: { list: async () => [], place: () => TOPIC },
  signals: { send: () => {}, notes: { onNote: () => {} } },
  appendWithin: () => (batches: Parameters<typeof appendCall>[0]) => [appendCall(batches, -1, 'all')],
} as unknown as LogEngine;

/**
 * The product's timer service in two processes, whose clocks are an hour off, over a model of the table. The clock that
 * wakes them rings late, twice or never.
 */
export const timersMachine: Machine = {
  what: 'what is due, and when',
  share: 5,
  world: { stormSteps: 160, mostSteps: 2_500, mostFaults: 4, faultOdds: 30, timeOdds: 10 },
  bugs: { 'claim-without-locks': 'two processes claim the same timers' },
  build(world, bug) {
    const server = new ModelServer(world);
    const model = new TimerModel(server, bug);
    const services = new Services(world, server);
    const users = new TimerUsers(world, server, model, (dueMs) => services.arm(dueMs));
    const rules = new TimerRules(world, model, users);
    server.onCommit = (transaction) => rules.check(transaction);
    users.start();
    services.start();
    world.isOver = () => users.haveEnded && rules.areAllFired;
    return { atEnd: () => {} };
  },
};

class Services {
  readonly #running: { readonly process: SimProcess; readonly service: TimerService }[] = [];

  constructor(
    private readonly world: World,
    private readonly server: ModelServer,
  ) {}

  start(): void {
    this.#startOne('timers 1', HOUR_MS);
    this.#startOne('timers 2', -HOUR_MS);
    this.world.strike = () => this.#strike();
  }

  /** A wake-up, which may get lost or come twice. */
  arm(dueMs: number): void {
    const { choices, isStormy } = this.world;
    for (const { process, service } of this.#running) {
      const copies = isStormy ? choices.oneOf([1, 0, 2]) : 1;
      for (let copy = 0; copy < copies; copy += 1) process.spawn(async () => service.armed([dueMs]));
    }
  }

  #strike(): void {
    const { choices, nowMs } = this.world;
    const at = choices.below(this.#running.length);
    const { process } = this.#running[at] as { process: SimProcess };
    if (choices.below(2) === 0) {
      this.world.note(() => `FAULT: ${process.name} crashes`);
      process.crash();
      this.#running.splice(at, 1);
      this.#startOne(process.name, HOUR_MS);
    } else {
      this.world.note(() => `FAULT: ${process.name} is stopped for ${STOPPED_MS} ms`);
      process.stoppedUntilMs = nowMs + STOPPED_MS;
    }
  }

  #startOne(name: string, skewMs: number): void {
    const process = new SimProcess(this.world, name, skewMs);
    const database = new ModelDatabase(this.server, process).asDatabase;
    const dependencies = { database, log: LOG, clock: process.clock, logger: silentLogger };
    const passTimers = this.world.choices.oneOf([1_000, 1]);
    const service = new TimerService(dependencies, { pollMs: POLL_MS, passTimers, leaseMs: LEASE_MS });
    // What the service does with what its upkeep finds: it looks that far back.
    const found = (dueMs: number): void => service.armed([dueMs]);
    const upkeep = new TimerUpkeep(database, [TIMER_KIND.message], found, process.clock, silentLogger);
    this.#running.push({ process, service });
    process.spawn(async () => {
      for (;;) {
        const result = await service.runOnce().catch(() => 'idle');
        if (result === 'idle') await process.clock.sleep(POLL_MS);
      }
    });
    process.spawn(async () => {
      for (;;) {
        await upkeep.runOnce().catch(() => 'idle');
        await process.clock.sleep(UPKEEP_MS);
      }
    });
  }
}
