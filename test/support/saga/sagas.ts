import { type Consumer, type Delivery, resolveSubscription } from '@waybill/consumer';
import { Bell, type Logger, type PgDatabase, type PgTransactionRunner, silentLogger } from '@waybill/kernel';
import { type Outbox, Relay } from '@waybill/outbox';
import {
  type SagaDefinition,
  SagaDefinitions,
  SagaOperations,
  SagaEngine,
  type SagaHttpOptions,
  type SagaLockOptions,
  SagaLocks,
  Sagas,
  SagaLoop,
  type SagaState,
} from '@waybill/saga';
import { OutboxReplies, replyTopicOf, SagaCommandServer } from '@waybill/saga/internal';
import { TimerService } from '@waybill/timer';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture, type FixtureOptions } from '../fixture.js';
import { consumerOf, outboxOf, runnerOn } from '../places.js';

/** What a participant does for a command. */
export type Work = (delivery: Delivery, client: pg.PoolClient) => Promise<unknown>;

export interface SagaFloorOptions {
  readonly locks?: SagaLockOptions;
  readonly logger?: Logger;
  readonly http?: SagaHttpOptions;
  readonly places?: FixtureOptions;
}

/** A service that runs sagas, and participants, each its own consumer group in this process. */
export class SagaFloor {
  readonly outbox: Outbox;
  readonly sagas: Sagas;
  readonly operations: SagaOperations;
  readonly engine: SagaEngine;
  readonly locks: SagaLocks;
  readonly participant: SagaCommandServer;
  readonly service: SagaLoop;
  readonly runner: PgTransactionRunner;
  readonly #relay: Relay;
  readonly #timers: TimerService;
  readonly #consumers: Consumer[] = [];
  readonly #stops: (() => Promise<void>)[] = [];

  private constructor(
    readonly fixture: Fixture,
    readonly definitions: SagaDefinitions,
    { locks, logger = silentLogger, http }: SagaFloorOptions,
  ) {
    const bell = new Bell();
    this.outbox = outboxOf({ bell });
    this.runner = runnerOn(fixture.database);
    const { database, engine: log, topics } = fixture;
    this.#relay = new Relay({ database, log, bell });
    this.#timers = new TimerService({ database, log, logger });
    this.engine = new SagaEngine({
      definitions,
      outbox: this.outbox,
      group: 'orders',
      logger,
    });
    const { outbox, engine } = this;
    const transactions = this.runner as never;
    this.sagas = new Sagas({ engine, schema: 'waybill', outbox, transactions });
    this.operations = new SagaOperations({ database: fixture.database });
    this.locks = new SagaLocks(new OutboxReplies(outbox), locks);
    this.participant = new SagaCommandServer({
      replies: new OutboxReplies(outbox),
      locks: this.locks,
      findTopic: (name) => topics.find(name),
    });
    this.service = new SagaLoop(
      { engine, definitions, transactions, logger },
      { pollMs: 50, ...(http && { http }) },
    );
  }

  static async open(
    definitions: readonly SagaDefinition<never, never>[],
    options: SagaFloorOptions = {},
  ): Promise<SagaFloor> {
    const known = new SagaDefinitions(definitions as unknown as SagaDefinition[]);
    const names = [...known.topics(), replyTopicOf('orders')];
    const fixture = await Fixture.create(Object.fromEntries(names.map((name) => [name, {}])), options.places);
    await fixture.database.pool.query(
      `create table deed (id bigint generated always as identity, what text, saga text, n int, at timestamptz default clock_timestamp())`,
    );
    const floor = new SagaFloor(fixture, known, options);
    fixture.signals.start();
    floor.#relay.service.start();
    floor.#timers.start();
    return floor;
  }

  get database(): PgDatabase {
    return this.fixture.database;
  }

  /** Runs sagas in this process. */
  async carry(): Promise<void> {
    await this.consume('orders', this.service.subscriptions());
    this.run(this.service);
  }

  /** Runs the clock and the HTTP calls of a service until the floor is closed. */
  run(service: SagaLoop): void {
    service.start();
    this.#stops.push(() => service.stop());
  }

  /** Serves commands, by topic, as one service. */
  async serve(group: string, works: Readonly<Record<string, Work>>): Promise<void> {
    const subscriptions = Object.entries(works).map(([topic, work]) =>
      resolveSubscription(
        topic,
        (delivery) =>
          this.participant.serve(delivery, () => work(delivery, delivery.transaction as pg.PoolClient)),
        { replies: true, retry: { immediateAttempts: 0, delayMs: 20, maxAttempts: 3 } },
      ),
    );
    await this.consume(group, subscriptions);
    const sweeper = this.locks.sweeper(this.runner as never, (session, headers, reason) =>
      this.participant.rejectCommand(session, headers, reason),
    );
    sweeper.start();
    this.#stops.push(() => sweeper.stop());
  }

  /** @returns a function that stops it before the floor is closed */
  async consume(
    group: string,
    subscriptions: ReturnType<typeof resolveSubscription>[],
  ): Promise<() => Promise<void>> {
    const { database, engine: log } = this.fixture;
    const consumer = consumerOf(
      { group, subscriptions, database, transactions: this.runner as never, log },
      { leaseMs: 20_000, heartbeatMs: 200 },
    );
    await consumer.start();
    this.#consumers.push(consumer);
    return () => consumer.stop();
  }

  /** Starts a saga in its own transaction. */
  start<Input extends object, Output extends object>(
    definition: SagaDefinition<Input, Output>,
    key: string,
    data: Input,
  ): Promise<{ id: string; created: boolean }> {
    return this.fixture.transaction((client) => this.sagas.start(client, definition, { key, data }));
  }

  /** Waits until a saga is in the given state. */
  async until(id: string, state: SagaState): Promise<void> {
    let seen = '';
    const look = async (): Promise<boolean> => {
      const { state: now, reason, instance } = await this.operations.show(id);
      seen = `the saga is ${now} (${reason}): ${JSON.stringify(instance.steps)}`;
      return now === state;
    };
    await waitUntil(look, { describe: () => `${state}; ${seen}` });
  }

  /** How many messages of a topic have a verdict. */
  async handled(topic: string): Promise<number> {
    const { rows } = await this.database.pool.query<{ handled: number }>(
      `select coalesce(sum(position), 0)::int as handled from (
         select distinct on (p.group_id, p.partition_id) p.position from waybill.consumer_position p
           join waybill.topic_partition tp on tp.id = p.partition_id join waybill.topic t on t.id = tp.topic_id
          where t.name = $1 order by p.group_id, p.partition_id, p.id desc) newest`,
      [topic],
    );
    return rows[0]?.handled ?? 0;
  }

  /** What participants have done, in order. */
  async deeds(saga?: string): Promise<string[]> {
    const { rows } = await this.database.pool.query<{ what: string }>(
      'select what from deed where $1::text is null or saga = $1 order by id',
      [saga ?? null],
    );
    return rows.map(({ what }) => what);
  }

  async close(): Promise<void> {
    for (const stop of this.#stops) await stop();
    for (const consumer of this.#consumers) await consumer.stop();
    await this.#relay.service.stop();
    await this.#timers.stop();
    await this.fixture.signals.stop();
    await this.fixture.close();
  }
}

/** A participant's work that only records that it was done. */
export function note(what: string, reply: object = {}): Work {
  return async ({ control }, client) => {
    await client.query('insert into deed (what, saga) values ($1, $2)', [what, control['waybill-saga-id']]);
    return reply;
  };
}

/** Waits until a claim about sagas holds. */
export function eventually(claim: () => Promise<boolean>): Promise<void> {
  return waitUntil(claim, { describe: "the test's claim holds" });
}
