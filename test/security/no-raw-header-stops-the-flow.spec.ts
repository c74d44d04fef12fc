import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { EventPattern, MessagePattern } from '@nestjs/microservices';
import { newId } from '@waybill/kernel';
import { WaybillClient } from '@waybill/nestjs';
import { saga, sagaCommand } from '@waybill/saga';
import { replyTopicOf } from '@waybill/saga/internal';
import { waitUntil } from '@waybill/testing';
import fc from 'fast-check';
import { lastValueFrom } from 'rxjs';
import { appendRaw, type RawRecord } from '../support/raw-records.js';
import { note, SagaFloor, type Work } from '../support/saga/sagas.js';
import { Applications } from '../transport/application.js';

const seed = Number(process.env['FUZZ_SEED'] ?? 20_261_129);
const RUN = { seed, interruptAfterTimeLimit: 12_000, markInterruptAsFailure: false } as const;
process.stdout.write(`fuzz seed ${seed} (FUZZ_SEED)\n`);

/** Every header that Waybill reads, and other names. */
const NAMES =
  'cause-id expires-at id reply-error reply-key reply-status reply-to reply-values request-id request-timeout-ms ' +
  'saga-again saga-attempt saga-branch saga-call-mac saga-definition saga-event saga-id saga-mac saga-op saga-step ' +
  'signature unknown __proto__';
const names = fc.constantFrom(...NAMES.split(' '), '').map((name) => `waybill-${name}`);

/** Values of such headers, and lookalikes. */
const WORDS =
  'done failed rejected next end action undo try confirm cancel call signal charge refund approve approved child-ended ' +
  'retry abort force resolve skip 0 1 -1 1e9 9007199254740993 NaN null {} [] "x" {"type":"cancel"} {"kind":"cancel"} ' +
  '__proto__ orders payments orders.saga-replies other.replies nowhere.replies ../x.replies';
const MAC = `1.${'x'.repeat(43)}`;
const words = fc.constantFrom(...WORDS.split(' '), MAC, '', 'a b', 'x'.repeat(300), '\u2028', '💩');

const values = (own: () => readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: words },
    {
      weight: 2,
      arbitrary: fc.nat({ max: 20 }).map((index) => own()[index % Math.max(1, own().length)] ?? ''),
    },
    {
      weight: 1,
      arbitrary: fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.replaceAll('\0', '')),
    },
  );

const headersOf = (own: () => readonly string[]): fc.Arbitrary<Record<string, string>> =>
  fc.dictionary(names, values(own), { maxKeys: 9 });

const bodies = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(
    { type: 'done' },
    { event: 'cancel' },
    { name: 'approved', data: {} },
    { pattern: 'x' },
    { error: {} },
  ),
);

describe('arbitrary headers in the topics of a saga', () => {
  interface Order {
    readonly orderId: string;
  }
  const charge = sagaCommand<Order, { chargeId: string }>('payments.charge');
  const refund = sagaCommand<Order>('payments.refund');
  const definition = saga<Order>('fuzzed.order')
    .step('charge', {
      invoke: charge,
      with: ({ orderId }) => ({ orderId }),
      then: ({ chargeId }) => ({ chargeId }),
      undo: { invoke: refund, with: ({ orderId }) => ({ orderId }) },
      policy: { timeoutMs: 120_000 },
    })
    .build();
  let floor: SagaFloor;
  let release: () => void;
  let seen: Record<string, string> = {};
  beforeAll(async () => {
    floor = await SagaFloor.open([definition as never]);
    await floor.fixture.topics.create('other.replies');
    const gate = new Promise<void>((resolve) => (release = resolve));
    const pay: Work = async (delivery, client) => {
      if ((delivery.payload as Partial<Order> | null)?.orderId === 'held') {
        seen = { ...delivery.control };
        await gate;
      }
      return note('charge', { chargeId: 'real' })(delivery, client);
    };
    await floor.serve('payments', { 'payments.charge': pay, 'payments.refund': note('refund') });
    await floor.carry();
  });
  afterAll(async () => {
    release();
    await floor.close();
  });

  test('change no saga, stop no consumer, and send no reply to a topic that is not a reply topic', async () => {
    const { id } = await floor.start(definition, 'held', { orderId: 'held' });
    await waitUntil(() => seen['waybill-saga-id'] !== undefined, { describe: 'the command is in flight' });
    const look = async (): Promise<string> => JSON.stringify((await floor.operations.show(id)).instance);
    const before = await look();
    // All that a command contains except its MAC, which proves who received it.
    const { 'waybill-saga-mac': _, ...told } = seen;
    const own = (): string[] => [id, ...Object.values(told)];
    const answer = { ...told, 'waybill-reply-status': 'done', 'waybill-saga-mac': MAC };
    const nearly = fc
      .tuple(fc.subarray(Object.keys(answer), { minLength: 6 }), fc.oneof(fc.constant({}), headersOf(own)))
      .map(([kept, changes]) => ({
        ...Object.fromEntries(Object.entries(answer).filter(([name]) => kept.includes(name))),
        ...changes,
      }));
    const topics = [replyTopicOf('orders')];
    const others = ['payments.charge', 'payments.refund'];
    const written = new Map<string, number>();
    const record = fc.record({
      topic: fc.constantFrom(...topics, ...topics, ...others),
      key: fc.option(fc.constantFrom('a', 'b', 'c')),
      value: bodies,
      headers: fc.oneof(headersOf(own), nearly),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 25 }), async (records) => {
        // A participant has no key: commands in the name of a saga are refused by signatures, or by grants.
        const raw = records.map((one): RawRecord => ({
          ...one,
          headers: commandless(one.topic, one.headers, id),
        }));
        for (const { topic } of raw) written.set(topic, (written.get(topic) ?? 0) + 1);
        await appendRaw(floor.fixture, raw);
      }),
      { ...RUN, numRuns: 25 },
    );
    for (const topic of topics)
      await waitUntil(async () => (await floor.handled(topic)) >= (written.get(topic) ?? 0), {
        describe: () => `everything in ${topic} has a verdict`,
        timeoutMs: 30_000,
      });
    expect(await look()).toBe(before);
    release();
    await floor.until(id, 'COMPLETED');
    expect(await floor.deeds(id)).toEqual(['charge']);
    const next = await floor.start(definition, 'next', { orderId: 'next' });
    await floor.until(next.id, 'COMPLETED');
    // Two commands and what was written: no process was made to send a command, or a reply into a command topic.
    expect((await floor.fixture.log('payments.charge')).length).toBe(
      (written.get('payments.charge') ?? 0) + 2,
    );
    expect((await floor.fixture.log('payments.refund')).length).toBe(written.get('payments.refund') ?? 0);
  });

  function commandless(topic: string, headers: Record<string, string>, id: string): Record<string, string> {
    return topic.startsWith('payments.') && headers['waybill-saga-id'] === id
      ? { ...headers, 'waybill-saga-id': newId() }
      : headers;
  }
});

@Controller()
class Operations {
  static readonly told: unknown[] = [];

  @MessagePattern<string>('ask')
  ask(question: unknown): unknown {
    return { answer: question };
  }

  @EventPattern<string>('tell')
  tell(what: unknown): string {
    Operations.told.push(what);
    return 'nobody asks';
  }
}

test('whatever headers a request or an event carries, other requests get replies, and only reply topics get any', async () => {
  const apps = await Applications.create('ask', 'tell');
  try {
    for (const topic of ['orders', 'payments', 'payments.saga-replies', 'other.replies'])
      await apps.fixture.topics.create(topic);
    const app = await apps.start('operations', [Operations], {
      handlers: { retry: { immediateAttempts: 0, maxAttempts: 1 } },
    });
    const client = app.get(WaybillClient);
    const ask = (question: string) => lastValueFrom(client.send<unknown>('ask', question));
    expect(await ask('first')).toEqual({ answer: 'first' });
    const record = fc.record({
      topic: fc.constantFrom('ask', 'tell', 'operations.replies'),
      value: bodies,
      headers: headersOf(() => []),
    });
    let asked = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 25 }), async (records) => {
        // Expired or late requests are dropped: the good request after them has its own time.
        await appendRaw(apps.fixture, records);
        asked += 1;
        expect(await ask(`after ${asked}`)).toEqual({ answer: `after ${asked}` });
      }),
      { ...RUN, numRuns: 15 },
    );
    await appendRaw(apps.fixture, [{ topic: 'tell', value: 'last' }]);
    await waitUntil(() => Operations.told.includes('last'), {
      describe: 'events after them are handled',
      timeoutMs: 30_000,
    });
    for (const topic of ['orders', 'payments']) expect(await apps.fixture.log(topic)).toEqual([]);
  } finally {
    await apps.close();
  }
});
