import 'reflect-metadata';
import { Controller, type INestMicroservice, type ModuleMetadata } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import {
  aesCipher,
  type Cipher,
  HalfMessageCheck,
  type HalfToCheck,
  Idempotent,
  NonRetryableError,
  retryIn,
  Saga,
  saga,
  httpCommand,
  sagaCommand,
  SagaCommand,
  SagaParticipant,
  SagaRejectedError,
  type WaybillContext,
  WaybillModule,
  type WaybillModuleOptions,
  WaybillServer,
} from '@waybill/nestjs';
import type pg from 'pg';
import type { Fixture } from './fixture.js';

type Context = WaybillContext<pg.PoolClient>;

/** What handlers got, by topic. */
export const seen: { topic: string; key: string | null; note: string | undefined; text: string }[] = [];

interface Note {
  readonly text: string;
  /** An entity that the command holds. */
  readonly shelf?: string;
}

/** A cipher with the named keys; the last one encrypts. */
export function cipherOf(...ids: string[]): Cipher {
  const keys = Object.fromEntries(ids.map((id) => [id, `${id}-`.padEnd(40, id)]));
  return aesCipher({ keys, encryptWith: ids.at(-1) ?? '', pseudonymKey: 'p'.repeat(32) });
}

@Controller()
export class Handlers {
  @EventPattern<string>('notes')
  @Idempotent({ guard: 'message-id' })
  note(@Payload() { text }: Note, @Ctx() context: Context): Note {
    look(text, context);
    return { text };
  }

  @EventPattern<string>('leased')
  @Idempotent({ guard: 'lease' })
  leased(@Payload() { text }: Note, @Ctx() context: Context): Note {
    look(text, context);
    return { text };
  }

  @EventPattern<string>('bad')
  bad(@Payload() { text }: Note, @Ctx() context: Context): void {
    look(text, context);
    throw new NonRetryableError('it is no good');
  }

  @EventPattern<string>('waiting')
  waiting(@Payload() { text }: Note, @Ctx() context: Context): unknown {
    look(text, context);
    return retryIn(3_600_000);
  }

  @MessagePattern<string>('ask')
  ask(@Payload() { text }: Note, @Ctx() context: Context): Note {
    look(text, context);
    if (text.startsWith('fail')) throw new NonRetryableError('it cannot be answered');
    return { text: `answer to ${text}` };
  }
}

function look(text: string, { topic, key, headers }: Context): void {
  seen.push({ topic, key, note: headers['x-note'], text });
}

const reserve = sagaCommand<Note, Note>('shop.reserve');
const release = sagaCommand<Note>('shop.release');
const charge = sagaCommand<Note, Note>('shop.charge');

@Saga()
export class Orders {
  readonly place = saga<Note & { readonly bill?: string }>('orders.place')
    .step('reserve', {
      invoke: reserve,
      with: ({ text, shelf }) => ({ text, ...(shelf === undefined ? {} : { shelf }) }),
      then: ({ text }) => ({ bill: text }),
      undo: { invoke: release, with: ({ text }) => ({ text }) },
    })
    .step('charge', { invoke: charge, with: ({ text }) => ({ text }) })
    .attributes(({ text }) => ({ letters: text.length }))
    .build();

  /** Calls an endpoint that does not exist: its call remains. */
  readonly call = saga<Note>('orders.call')
    .step('call', {
      invoke: httpCommand<Note>('http://127.0.0.1:9/'),
      with: (note) => note,
      policy: { delayMs: 600_000, maxDelayMs: 600_000 },
    })
    .build();
}

@SagaParticipant()
export class Shop {
  @SagaCommand(reserve)
  async reserve(@Payload() { text, shelf }: Note, @Ctx() context: Context): Promise<Note> {
    look(text, context);
    if (shelf !== undefined) await context.saga?.hold(shelf);
    return { text: `bill of ${text}` };
  }

  @SagaCommand(release)
  release(@Payload() { text }: Note, @Ctx() context: Context): void {
    look(text, context);
  }

  @SagaCommand(charge)
  charge(@Payload() { text }: Note, @Ctx() context: Context): Note {
    look(text, context);
    if (text.startsWith('poor')) throw new SagaRejectedError('no money');
    return { text: `paid ${text}` };
  }
}

/** What the check was shown of half messages. */
export const checked: unknown[] = [];

class Checks {
  @HalfMessageCheck('halves')
  check({ messages }: HalfToCheck): 'unknown' {
    checked.push(...messages.map(({ payload }) => payload));
    return 'unknown';
  }
}

/** The parts of a service: by default a handler for everything that can hold a text. */
type Parts = Pick<ModuleMetadata, 'controllers' | 'providers'>;
const ALL: Parts = { controllers: [Handlers, Shop], providers: [Orders, Checks] };

/** Starts a service that handles texts. */
export async function startShop(
  fixture: Pick<Fixture, 'url'> & Partial<Pick<Fixture, 'moduleOptions'>>,
  options: Partial<WaybillModuleOptions>,
  parts = ALL,
): Promise<INestMicroservice> {
  const topics = ['notes', 'leased', 'bad', 'waiting', 'ask', 'halves', 'quarantined'];
  const module = await Test.createTestingModule({
    imports: [
      WaybillModule.forRoot({
        database: { connectionString: fixture.url },
        ...fixture.moduleOptions,
        group: 'shop',
        topics: Object.fromEntries(topics.map((topic) => [topic, {}])),
        halfMessages: { checkImmunityMs: 0, check: { pollMs: 20 } },
        handlers: { retry: { immediateAttempts: 0, delayMs: 50, maxAttempts: 2 } },
        ...options,
      }),
    ],
    ...parts,
  }).compile();
  module.useLogger(false);
  const app = module.createNestMicroservice({ strategy: module.get(WaybillServer) });
  await app.listen();
  return app;
}
