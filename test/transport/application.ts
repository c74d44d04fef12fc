import { type DynamicModule, type INestMicroservice, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { WaybillModule, type WaybillModuleOptions, WaybillServer } from '@waybill/nestjs';
import { Fixture } from '../support/fixture.js';

/** What a test's application has in addition to its controllers. */
export interface ApplicationOptions extends Partial<WaybillModuleOptions> {
  readonly imports?: readonly DynamicModule[];
}

/** A database, and Nest applications that use it. */
export class Applications {
  readonly #running: INestMicroservice[] = [];

  private constructor(readonly fixture: Fixture) {}

  /** @param topics one partition each */
  static async create(...topics: readonly string[]): Promise<Applications> {
    const made = topics.map((topic) => [topic, { partitions: 1 }] as const);
    return new Applications(await Fixture.create(Object.fromEntries(made)));
  }

  /** Starts a service: a consumer group with controllers. */
  async start(
    group: string,
    controllers: Type[],
    { imports = [], ...options }: ApplicationOptions = {},
  ): Promise<INestMicroservice> {
    const module = await Test.createTestingModule({
      imports: [
        WaybillModule.forRoot({
          database: { connectionString: this.fixture.url },
          group,
          handlers: { retry: { maxAttempts: 3, delayMs: 1 } },
          consumer: { leaseMs: 20_000, heartbeatMs: 200, pollMaxMs: 50, drainMs: 1_000 },
          ...options,
        }),
        ...imports,
      ],
      controllers,
    }).compile();
    module.useLogger(false);
    const app = module.createNestMicroservice({ strategy: module.get(WaybillServer) });
    this.#running.push(app);
    await app.listen();
    return app;
  }

  async close(): Promise<void> {
    await Promise.all(this.#running.splice(0).map((app) => app.close()));
    await this.fixture.close();
  }

  /** Effects of a consumer. */
  effects(consumer: string): Promise<number> {
    return this.fixture.value('select count(*)::int from effect where consumer = $1', [consumer]);
  }
}
