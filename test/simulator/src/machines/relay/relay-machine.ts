import { Bell, isWaybillError, type PgDatabase, silentLogger } from '@waybill/kernel';
import type { LogEngine } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Relay } from '@waybill/outbox';
import { ModelDatabase } from '../../model/model-database.js';
import { ModelServer } from '../../model/model-server.js';
import { Snapshot } from '../../model/snapshot.js';
import type { Machine } from '../../runner/machine.js';
import { SimProcess } from '../../scheduler/sim-process.js';
import type { World } from '../../scheduler/world.js';
import { LogModel } from './log-model.js';
import { Publishers } from './publishers.js';
import { RelayModel, SLOTS } from './relay-model.js';

const TOPIC = { name: 'orders', partitionIds: [1, 2] };
const RETENTION_MS = 500;
const IDLE_MS = 250;
const LEASE_MS = 1_000;
const STOPPED_MS = 3_000;
/** Passes without work that each relay makes after everything has been moved: a double would come then. */
const REST_PASSES = 2;

/** No database goes back in a run. */
const FALSE_ALARMS: ReadonlySet<string> = new Set(['LOG_WENT_BACK', 'SOURCE_DIVERGED']);

/** Relays with the product's class, two at a time, over a model of PostgreSQL. */
export const relayMachine: Machine = {
  what: 'the hand-over from outbox to log',
  share: 5,
  world: { stormSteps: 160, mostSteps: 1_500, mostFaults: 4, faultOdds: 30, timeOdds: 10 },
  bugs: {
    'no-relay-lock': 'two relays work at the same time',
    'check-before-lock': 'a slot is emptied by what was seen before its lock',
    'no-numbers': 'the log takes whatever pass comes',
    'empty-unanswered': 'a slot is emptied by the newest pass, answered or not',
  },
  build(world, bug) {
    const server = new ModelServer(world);
    const busServer = world.choices.oneOf([true, false]) ? server : new ModelServer(world);
    world.note(
      () => `the log is ${busServer === server ? 'in the same database' : 'on a server of its own'}`,
    );
    const model = new RelayModel(server, bug);
    const log = new LogModel(busServer, bug);
    const publishers = new Publishers(world, server, model);
    const relays = new Relays(world, server, busServer);
    const rules = new RelayRules(world, model, log, publishers);
    for (const each of [server, busServer])
      each.onCommit = ({ facts }) => facts.has('moved') && rules.check();
    publishers.start();
    relays.start();
    world.spawn(async () => {
      for (;;) {
        await world.sleep(700);
        await model.emptySlot(world.choices.below(SLOTS), RETENTION_MS);
      }
    });
    world.isOver = () => publishers.haveEnded && rules.isAllMoved && relays.restPasses >= REST_PASSES;
    return { atEnd: () => rules.check() };
  },
};

/** Two processes with a relay each; one that crashes is started again. */
class Relays {
  restPasses = 0;
  readonly #processes: SimProcess[] = [];
  readonly #options;

  constructor(
    private readonly world: World,
    private readonly server: ModelServer,
    private readonly busServer: ModelServer,
  ) {
    const { choices } = world;
    this.#options = {
      smallDifferenceRows: choices.oneOf([1_000, 1, 3]),
      windowRows: choices.oneOf([1_000, 1, 2]),
      passBytes: choices.oneOf([1_000_000, 1_024]),
      leaseMs: LEASE_MS,
    };
  }

  start(): void {
    this.#startOne('relay 1');
    this.#startOne('relay 2');
    this.world.strike = () => this.#strike();
  }

  #strike(): void {
    const { world } = this;
    const process = this.#processes[world.choices.below(this.#processes.length)] as SimProcess;
    if (world.choices.below(2) === 0) {
      world.note(() => `FAULT: ${process.name} crashes`);
      process.crash();
      this.#processes.splice(this.#processes.indexOf(process), 1);
      this.#startOne(`${process.name}'`);
    } else {
      process.stoppedUntilMs = world.nowMs + STOPPED_MS;
      world.note(() => `FAULT: ${process.name} is stopped for ${STOPPED_MS} ms`);
    }
  }

  #startOne(name: string): void {
    const { world } = this;
    const process = new SimProcess(world, name);
    this.#processes.push(process);
    const database = new ModelDatabase(this.server, process).asDatabase;
    const bus =
      this.busServer === this.server ? database : new ModelDatabase(this.busServer, process).asDatabase;
    const relay = new Relay(
      {
        database,
        log: logOf(bus),
        bell: new Bell(),
        clock: process.clock,
        logger: silentLogger,
      },
      this.#options,
    );
    process.spawn(async () => {
      for (;;) {
        const result = await relay.runOnce().catch((error: unknown) => {
          // Anything else is a mistake of the model or the product, which the next pass would only repeat.
          if (!isWaybillError(error)) throw error;
          if (FALSE_ALARMS.has(error.code)) world.broken('no relay is mistaken', error.message);
          return 'failed';
        });
        if (result === 'again') this.restPasses = 0;
        else {
          this.restPasses += 1;
          await process.clock.sleep(IDLE_MS);
        }
      }
    });
  }
}

/** The product's engine over the model: topics and signals are not modelled. */
function logOf(bus: PgDatabase): LogEngine {
  return Object.assign(new PostgresLogEngine(bus, { service: null }), {
    topics: { list: async () => [], place: () => TOPIC, restore: async () => false },
    signals: { send: () => {}, notes: { onNote: () => {} } },
  }) as unknown as LogEngine;
}

/** Each committed message once, nothing else, and per key in the order of the commits. */
class RelayRules {
  constructor(
    private readonly world: World,
    private readonly model: RelayModel,
    private readonly log: LogModel,
    private readonly publishers: Publishers,
  ) {}

  get isAllMoved(): boolean {
    return this.log.rows.committed.length >= this.publishers.committed.length;
  }

  check(): void {
    const { world, publishers } = this;
    const log = this.log.rows.committed;
    const seen = new Set<number>();
    for (const { message } of log) {
      if (seen.has(message)) world.broken('nothing stands twice in the log', `message ${message} does`);
      if (!publishers.isCommitted(message))
        world.broken('nothing that was rolled back is in the log', `message ${message} is`);
      seen.add(message);
    }
    this.#assertNothingLost(seen);
    this.#assertPassesOnce();
    for (const key of new Set(log.map((row) => row.key))) {
      const order = log.filter((row) => row.key === key).map(({ message }) => publishers.orderOf(message));
      const isSorted = order.every((place, index) => index === 0 || (order[index - 1] as number) < place);
      if (!isSorted)
        world.broken('messages of a key are in commit order', `those of ${key}: ${order.join(', ')}`);
    }
  }

  /** The log would take only one of two passes with a number, and the rows of the other would have to be found again. */
  #assertPassesOnce(): void {
    const made = new Set<number>();
    for (const { n } of this.model.intents.committed) {
      if (made.has(n)) this.world.broken('a pass is made once', `pass ${n} was made twice`);
      made.add(n);
    }
  }

  /** What a pass took that the log holds is in the log; what is not in the log still stands in the outbox. */
  #assertNothingLost(moved: ReadonlySet<number>): void {
    const waiting = new Map(this.model.outbox.committed.map((row) => [row.message, row]));
    const base = this.model.cursorAt(this.log.newestN);
    const cursor = Snapshot.parse(base);
    for (const message of this.publishers.committed) {
      if (moved.has(message)) continue;
      const row = waiting.get(message);
      if (row === undefined || cursor.hasEnded(row.xid))
        this.world.broken('nothing is lost', `message ${message}: the cursor is ${base}`);
    }
  }
}
