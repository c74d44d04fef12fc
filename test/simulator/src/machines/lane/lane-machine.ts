import { ModelServer } from '../../model/model-server.js';
import type { Machine } from '../../runner/machine.js';
import type { World } from '../../scheduler/world.js';
import { LaneLoad } from './lane-load.js';
import { LaneModel, LEASE_MS } from './lane-model.js';
import { operate } from './lane-operator.js';
import { LaneProcess, type LaneSettings } from './lane-process.js';
import { LaneRules } from './lane-rules.js';

/** Lanes with the product's classes: window, parked messages, attempts, verdicts, crash charges, progress. */
export const laneMachine: Machine = {
  what: 'lanes: window, parked messages, attempts, verdicts',
  share: 2,
  world: { stormSteps: 250, mostSteps: 4_000, mostFaults: 5, faultOdds: 40, timeOdds: 12 },
  bugs: {
    'no-fence': 'every owner passes the fence',
    'fence-without-lock': 'the fence tests the owner, and does not lock its row',
    'older-position': 'a new owner reads the lowest position of the newest epoch',
    'reclaim-ignores-locks': 'an epoch is raised while a delivery of the old one commits',
  },
  build(world, bug) {
    const server = new ModelServer(world);
    const model = new LaneModel(server, bug);
    const load = new LaneLoad(world);
    const settings = settingsOf(world);
    world.note(() => `keys ${JSON.stringify(load.keys)}, ${JSON.stringify(settings)}`);
    const rules = new LaneRules(world, model, load, settings);
    server.onCommit = (transaction) => rules.check(transaction);
    const group = new Group(world, server, model, load, settings, rules);
    group.start();
    world.spawn(async () => {
      await world.sleep(1_200);
      load.appendRest();
    });
    if (settings.onDeadLetter !== 'unblock') world.spawn(() => operate(world, server, model));
    world.isOver = () => rules.isOver;
    return { atEnd: () => {} };
  },
};

function settingsOf({ choices }: World): LaneSettings {
  return {
    concurrency: choices.oneOf(['key', 'partition']),
    transactionBatch: choices.oneOf([1, 3, 100]),
    batchMs: choices.oneOf([10_000, 20]),
    delayMs: choices.oneOf([100, 0, 1_500]),
    maxConcurrency: choices.oneOf([4, 1, 2]),
    maxParked: choices.oneOf([100, 1]),
    onDeadLetter: choices.oneOf(['unblock', 'park', 'block']),
    together: choices.oneOf([true, false]),
  };
}

/** Two members; one that crashes comes back as another. */
class Group {
  readonly #members: LaneProcess[] = [];
  #nextMember = 1;

  constructor(
    private readonly world: World,
    private readonly server: ModelServer,
    private readonly model: LaneModel,
    private readonly load: LaneLoad,
    private readonly settings: LaneSettings,
    private readonly rules: LaneRules,
  ) {}

  start(): void {
    this.#startOne();
    this.#startOne();
    this.world.strike = () => this.#strike();
  }

  #startOne(): void {
    const { world, server, load, settings, rules } = this;
    const member = new LaneProcess(world, server, `m${this.#nextMember}`, load, settings, rules);
    this.#nextMember += 1;
    this.#members.push(member);
    rules.observe(member.memberId, member.running);
    member.process.atCrash(() => {
      world.note(() => `${member.memberId} crashes, running ${[...member.running].join(', ') || 'nothing'}`);
      this.#members.splice(this.#members.indexOf(member), 1);
      world.spawn(async () => {
        await world.sleep(200);
        this.#startOne();
      });
    });
    member.start();
  }

  #strike(): void {
    const { world } = this;
    const member = this.#members[this.#members.length === 0 ? 0 : world.choices.below(this.#members.length)];
    if (member === undefined) return;
    const kind = world.choices.oneOf(['crash', 'stop', 'hand over'] as const);
    world.note(() => `FAULT: ${kind}: ${member.memberId}`);
    if (kind === 'crash') member.process.crash();
    else if (kind === 'stop') member.process.stoppedUntilMs = world.nowMs + 2 * LEASE_MS;
    else if (this.model.grantNow.ownerId !== member.memberId) this.model.promise(member.memberId);
  }
}
