import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { raiseLogEpoch } from '@waybill/log/postgres/internal';
import { migrate } from '@waybill/schema';
import { waitUntil } from '@waybill/testing';
import pg from 'pg';
import { drain, OwnService, TestBus } from '../support/own-databases.js';
import { RoleBus } from '../support/role-bus.js';
import { sectionOf, type StatusPage, statusOf, statusText } from '../support/status.js';

const COMMAND = fileURLToPath(new URL('../../libs/cli/dist/main.js', import.meta.url));

/** A way to a server that can be shut. */
class Gate {
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  constructor(private readonly target: string) {}

  async open(): Promise<string> {
    const { hostname, port } = new URL(this.target);
    this.#server = createServer((near) => {
      const far = connect(Number(port), hostname);
      for (const [socket, peer] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => peer.destroy());
        socket.pipe(peer);
      }
    });
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
    const url = new URL(this.target);
    url.host = `127.0.0.1:${this.#port}`;
    return url.href;
  }

  async shut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

let bus: TestBus;
let service: OwnService;
let urls: readonly string[];
let gate: Gate;
beforeAll(async () => {
  bus = await TestBus.create();
  service = await OwnService.create(bus);
  urls = [service.created.connectionString, bus.created.connectionString];
  await service.publish([1, 2, 3]);
  await drain(service.relay());
});
afterEach(async () => {
  await gate?.shut();
});
afterAll(async () => {
  await service.close();
  await bus.close();
});

const page = (...options: string[]): Promise<StatusPage> => statusOf(urls, ...options);

test('service and bus each say who they are; hold-ups name their side', async () => {
  const client = new pg.Client({ connectionString: bus.created.connectionString });
  await client.connect();
  await client.query('begin; select count(*) from waybill_bus.topic; select txid_current()');
  try {
    const all = await page('--transaction-age', '0');
    expect(sectionOf(all, 'service').text).toContain(`bound to bus ${(await bus.log.identity()).busId}`);
    expect(sectionOf(all, 'bus')).toMatchObject({
      state: 'ok',
      figures: { logEpoch: 1, database: new URL(urls[1] as string).pathname.slice(1) },
    });
    expect(sectionOf(all, 'relay')).toMatchObject({
      state: 'ok',
      figures: { unansweredPasses: 0, waiting: 0 },
    });
    expect(all.holdUps).toMatchObject([{ where: 'bus', kind: 'transaction', state: 'stuck' }]);
    const rings = sectionOf(all, 'rings').figures as { part: string; ring: string }[];
    expect(rings).toContainEqual(expect.objectContaining({ part: 'service', ring: 'outbox', slots: 8 }));
    expect(rings).toContainEqual(
      expect.objectContaining({ part: 'bus', ring: 'log_batch', slots: 9, emptySlots: 8 }),
    );
  } finally {
    await client.end();
  }
});

test('without the address of the bus, the page says so', async () => {
  const { connectionString } = service.created;
  expect(sectionOf(await statusOf([connectionString]), 'bus')).toMatchObject({
    state: 'stuck',
    text: expect.stringContaining('Schema waybill_bus of the database has no Waybill tables'),
    advice: expect.stringContaining('--bus-url'),
  });
  await migrate({ connectionString, part: 'bus' });
  expect(sectionOf(await statusOf([connectionString]), 'bus')).toMatchObject({
    state: 'stuck',
    text: expect.stringContaining('the service is bound to another bus'),
    advice: expect.stringContaining('--bus-url'),
  });
});

test('the bus cannot be reached: the half of the service is shown, and the page says so', async () => {
  gate = new Gate(bus.created.connectionString);
  const through = [service.created.connectionString, await gate.open()];
  expect((await statusText(through)).code).toBe(0);
  await gate.shut();
  await service.publish([4]);
  const { text, code } = await statusText(through);
  expect(code).toBe(1);
  expect(text).toMatch(/^stuck +bus +it cannot be reached: .*\n +-> Start it, or correct WAYBILL_BUS_URL/m);
  expect(text).toMatch(/^waiting +relay .*1 message waiting/m);
  expect(text).toMatch(/^stuck +consumers +what waits is not known: the bus cannot be reached$/m);
  expect(text).toMatch(/^ok +sagas /m);
  await drain(service.relay());
});

test('the service cannot be reached: the bus is shown', async () => {
  const down = await statusOf(['postgresql://x:y@127.0.0.1:1/z', bus.created.connectionString]);
  expect(down.sections).toMatchObject([
    { section: 'service', state: 'stuck', text: expect.stringContaining('it cannot be reached') },
    { section: 'bus', state: 'ok' },
  ]);
  const both = await statusOf(['postgresql://x:y@127.0.0.1:1/z']);
  expect(both.sections).toMatchObject([{ section: 'service', state: 'stuck' }]);
});

test('a database without the schema', async () => {
  const url = new URL(service.created.connectionString);
  url.pathname = '/postgres';
  expect(sectionOf(await statusOf([url.href, urls[1] as string]), 'service')).toMatchObject({
    state: 'stuck',
    advice: expect.stringContaining('waybill migrate'),
  });
});

test('a log that lost a tail, one that was healed, and a service that went back', async () => {
  const { rows } = await bus.database.pool.query('delete from waybill_bus.log_source returning *');
  expect(rows.length).toBeGreaterThan(0);
  const newestPass = await service.value<string>('select max(n) from waybill.relay_intent');
  expect(sectionOf(await page(), 'relay')).toMatchObject({
    state: 'waiting',
    text: expect.stringContaining('the bus has not answered for the'),
    figures: { confirmedPass: 0, passInLog: 0, unansweredPasses: Number(newestPass) },
  });
  await service.value('update waybill.relay_intent set confirmed_n = n where n > 0 returning 1');
  expect(sectionOf(await page(), 'relay')).toMatchObject({
    state: 'stuck',
    text: expect.stringContaining('it has lost a tail'),
    advice: expect.stringContaining('waybill bus heal'),
  });
  await bus.database.session.run(raiseLogEpoch);
  const healing = await page();
  expect(sectionOf(healing, 'bus')).toMatchObject({
    state: 'waiting',
    text: expect.stringContaining('log epoch 2'),
  });
  expect(sectionOf(healing, 'relay').state).not.toBe('stuck');
  await drain(service.relay());
  expect(sectionOf(await page(), 'bus').state).toBe('ok');
  await bus.database.pool.query('update waybill_bus.log_source set token = gen_random_uuid()');
  expect(sectionOf(await page(), 'relay')).toMatchObject({
    state: 'stuck',
    text: expect.stringMatching(/the log holds pass \d+, which this database does not know/),
    advice: expect.stringContaining('waybill relay reconcile'),
  });
});

test.each(['monitor', 'operator', 'service'] as const)(
  'a %s reads all of it; what it may not see is said',
  async (role) => {
    const roles = await RoleBus.create();
    try {
      const owned = await roles.database('status', 'service');
      const ownedBus = await roles.database('status_bus', 'bus');
      const database = roles.as('owner', owned);
      const log = new PostgresLogEngine(roles.as('owner', ownedBus), { service: database });
      await log.topics.create('orders', {});
      await log.topics.list();
      await roles.grant('watcher', owned, { roles: [role], part: 'service' });
      await roles.grant('watcher', ownedBus, { roles: [role], part: 'bus' });
      const client = await database.pool.connect();
      const watched = [roles.urlOf('watcher', owned), roles.urlOf('watcher', ownedBus)];
      try {
        await client.query('begin; select txid_current(); lock table waybill.saga_bulk in exclusive mode');
        const all = await statusOf(watched);
        expect(all.sections.filter(({ state }) => state !== 'ok')).toEqual([]);
        expect(all.sections).toHaveLength(10);
        expect(all.hidden).toEqual([
          expect.stringMatching(/^service: watcher_\w+ does not see .* grant pg_read_all_stats to "watcher_/),
          expect.stringMatching(/^bus: /),
        ]);
        expect(all.holdUps).toMatchObject([
          {
            kind: 'transaction',
            state: 'waiting',
            login: roles.name('owner'),
            ageMs: null,
            query: null,
            locks: ['saga_bulk ExclusiveLock'],
            text: expect.stringContaining('this login may not see'),
          },
        ]);
        await roles.onServer(`grant pg_read_all_stats to ${roles.name('watcher')}`);
        const seen = await statusOf(watched, '--transaction-age', '0');
        expect(seen.hidden).toEqual([]);
        expect(seen.holdUps).toMatchObject([{ state: 'stuck', sessionState: 'idle in transaction' }]);
      } finally {
        await client.query('rollback');
        client.release();
      }
      await roles.login('stranger');
      const { text, code } = await statusText([roles.urlOf('stranger', owned)]);
      expect(code).toBe(1);
      expect(text).toMatch(/^stuck +service +/m);
    } finally {
      await roles.close();
    }
  },
);

test('--watch shows the page again and again, shows a lost connection, and ends with 0 on Ctrl-C', async () => {
  gate = new Gate(service.created.connectionString);
  const url = await gate.open();
  const watching = spawn(process.execPath, [COMMAND, 'status', '--watch', '100ms', '--json'], {
    env: { ...process.env, DATABASE_URL: url, WAYBILL_BUS_URL: bus.created.connectionString },
  });
  try {
    const pages = pagesOf(watching);
    await waitUntil(() => pages.length >= 2, { describe: 'two pages' });
    expect(pages[0]?.sections).toHaveLength(10);
    await gate.shut();
    await waitUntil(() => pages.at(-1)?.sections[0]?.text.includes('it cannot be reached') === true, {
      describe: 'the lost connection is shown',
    });
    await gate.open();
    await waitUntil(() => pages.at(-1)?.sections.length === 10, { describe: 'it is connected again' });
    const ended = once(watching, 'exit');
    watching.kill('SIGINT');
    expect(await ended).toEqual([0, null]);
  } finally {
    watching.kill('SIGKILL');
  }
});

/** The pages that a watching process prints. */
function pagesOf({ stdout }: ChildProcess): StatusPage[] {
  const pages: StatusPage[] = [];
  let rest = '';
  stdout?.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    pages.push(...lines.map((text) => JSON.parse(text) as StatusPage));
  });
  return pages;
}

test('incorrect use ends with 2', async () => {
  await expect(statusText(urls, '--watch', 'often')).rejects.toMatchObject({ exitCode: 2 });
  await expect(statusText(urls, '--watch', '0')).rejects.toMatchObject({ exitCode: 2 });
  expect(await statusText([''])).toMatchObject({
    code: 2,
    text: expect.stringContaining('No database is given'),
  });
});
