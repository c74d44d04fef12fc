import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { LogEngine, ReadyBatch, SourcePass } from '@waybill/log';
import { drain, OwnService, TestBus } from '../support/own-databases.js';

let bus: TestBus;
let service: OwnService;
/** The passes that were sent and did not arrive. */
const lost: { readonly pass: SourcePass; readonly batches: readonly ReadyBatch[] }[] = [];
/** Whether a pass is lost on its way. */
let isLost: (pass: SourcePass) => boolean;

beforeEach(async () => {
  bus = await TestBus.create({ orders: { partitions: 1 }, secret: { partitions: 1 } });
  service = await OwnService.create(bus);
  lost.length = 0;
});
afterEach(async () => {
  await service.close();
  await bus.close();
});

/** The log, to which passes get lost. They are given up when all that was published has been stored. */
function unreliable(stored: Promise<void>): LogEngine {
  return new Proxy(service.log, {
    get(target, property) {
      if (property === 'handOver')
        return async (pass: SourcePass, batches: readonly ReadyBatch[]) => {
          if (!isLost(pass)) return target.handOver(pass, batches);
          lost.push({ pass, batches });
          await stored;
          throw new Error('the connection is gone');
        };
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** As for a login that may not publish there. */
async function refuseSecrets(): Promise<void> {
  const [secret] = (await bus.log.topics.get('secret')).partitionIds;
  await bus.database.pool.query(`
    create function waybill_bus.refuse() returns trigger language plpgsql as
    $$ begin raise exception using errcode = 'WB040', detail = 'secret', message = 'not yours'; end $$;
    create trigger refuse before insert on waybill_bus.log_segment for each row
       when (new.partition_id = ${secret}) execute function waybill_bus.refuse()`);
}

const quarantined = (): Promise<number> =>
  service.value('select count(*)::int from waybill.outbox_quarantine');

/** A pass of which it is not known who made it is left to others for a second. */
const aMomentLater = (): Promise<unknown> =>
  service.value(`update waybill.relay_intent set made_at = made_at - interval '2 s'`);

test.each([
  ['no other follows', []],
  ['others follow', [2, 3]],
] as const)('a pass that arrives after all has its refused messages, where %s', async (_, later) => {
  let go = (): void => {};
  isLost = () => true;
  const relay = service.relay({}, { log: unreliable(new Promise((resolve) => (go = resolve))) });
  await service.transaction(async (client) => {
    await service.outbox.publish(client, { topic: 'orders', key: 'k', payload: { n: 0 } });
    await service.outbox.publish(client, { topic: 'secret', key: 'k', payload: { n: 1 } });
  });
  await relay.runOnce();
  for (const n of later) {
    await service.publish([n]);
    await relay.runOnce();
  }
  go();
  await relay.drain();
  const [first] = lost;

  // Sent again it is refused, and made again without the secret message; in that form it gets lost as well.
  await refuseSecrets();
  isLost = ({ n, token }) => n > 1 || token !== first?.pass.token;
  expect(await relay.runOnce()).toBe('idle');
  expect(await quarantined()).toBe(1);
  await aMomentLater();
  await expect(relay.runOnce()).rejects.toThrow('the connection is gone');

  // And the first one arrives.
  await bus.database.pool.query('drop trigger refuse on waybill_bus.log_segment');
  await service.log.handOver(first?.pass as SourcePass, first?.batches ?? []);
  isLost = () => false;
  await aMomentLater();
  await drain(relay);
  await aMomentLater();
  await drain(relay);
  await service.publish([9]);
  await drain(relay);
  expect(await quarantined()).toBe(0);
  expect((await bus.read('secret')).numbers).toEqual([1]);
  expect((await bus.read()).numbers).toEqual([0, ...later, 9]);
});
