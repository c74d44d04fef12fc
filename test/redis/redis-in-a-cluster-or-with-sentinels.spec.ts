import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type RedisGiven, TimerService, Timers } from '@waybill/timer';
import { choosePort, type RedisServer, startRedis, waitUntil } from '@waybill/testing';
import { faultsOf, Fixture } from '../support/fixture.js';
import { describeWithRedis, message } from '../support/timers.js';

describeWithRedis('Redis as a clock', () => {
  let fixture: Fixture;
  let folder: string;
  let servers: RedisServer[];
  let service: TimerService | undefined;
  let sentinel: ChildProcess | undefined;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'redis-'));
    servers = [];
    fixture = await Fixture.create();
  });
  afterEach(async () => {
    await service?.stop();
    service = undefined;
    if (sentinel !== undefined && sentinel.exitCode === null) {
      const gone = once(sentinel, 'exit');
      sentinel.kill('SIGKILL');
      await gone;
    }
    sentinel = undefined;
    for (const server of servers) await server.stop();
    await fixture.close();
    await rm(folder, { recursive: true });
  });

  const startOn = async (
    port: number,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<RedisServer> => {
    const server = await startRedis({ port: String(port), dir: folder, ...settings });
    servers.push(server);
    return server;
  };
  const startService = (redis: RedisGiven): Timers => {
    const { database, engine: log } = fixture;
    service = new TimerService({ database, log, redis }, { distrustMs: 500 });
    service.start();
    return new Timers(database.session, service);
  };
  const isClock = (): Promise<void> =>
    waitUntil(() => service?.status.clock === 'redis', {
      describe: () => `Redis is the clock; ${service?.status.reason}`,
      timeoutMs: 30_000,
    });
  let next = 0;
  const fire = async (timers: Timers): Promise<void> => {
    for (const delayMs of [30, 130, 230]) {
      await timers.schedule(message(next), { delayMs });
      next += 1;
    }
    await waitUntil(async () => (await fixture.log()).length === next, { describe: 'all have arrived' });
    expect(faultsOf(await fixture.log())).toEqual([]);
  };

  test('works in a cluster: all its keys are in one slot', async () => {
    next = 0;
    const port = await choosePort(0);
    const server = await startOn(port, {
      'cluster-enabled': 'yes',
      'cluster-announce-ip': '127.0.0.1',
      'cluster-config-file': 'nodes.conf',
    });
    await server.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await waitUntil(async () => (await server.command('CLUSTER', 'INFO')).includes('cluster_state:ok'), {
      describe: 'the cluster is ready',
    });
    const timers = startService({ cluster: [{ host: '127.0.0.1', port }] });
    await isClock();
    await fire(timers);
    expect(service?.status).toMatchObject({ clock: 'redis', degraded: false });
  });

  test('follows its sentinels to another server, and reloads there what the other had', async () => {
    next = 0;
    const ports = [await choosePort(0), await choosePort(0), await choosePort(0)] as const;
    const [primaryPort, replicaPort, sentinelPort] = ports;
    const primary = await startOn(primaryPort);
    const replica = await startOn(replicaPort, { replicaof: `127.0.0.1 ${primaryPort}` });
    await waitUntil(async () => (await replica.command('ROLE')).includes('connected'), {
      describe: 'the replica follows',
      timeoutMs: 30_000,
    });
    const config = join(folder, 'sentinel.conf');
    await writeFile(
      config,
      `port ${sentinelPort}\nbind 127.0.0.1\nsentinel monitor waybill 127.0.0.1 ${primaryPort} 1\n` +
        'sentinel down-after-milliseconds waybill 500\nsentinel failover-timeout waybill 2000\n',
    );
    sentinel = spawn('redis-server', [config, '--sentinel'], { stdio: 'ignore' });
    const timers = startService({ sentinels: [{ host: '127.0.0.1', port: sentinelPort }], name: 'waybill' });
    await isClock();
    await fire(timers);
    const loads = service?.status.loads ?? 0;
    await primary.kill();
    await waitUntil(async () => (await replica.command('ROLE')).includes('master'), {
      describe: 'the replica has become the primary',
      timeoutMs: 30_000,
    });
    await fire(timers);
    await waitUntil(() => (service?.status.loads ?? 0) > loads, {
      describe: 'it was loaded',
      timeoutMs: 30_000,
    });
    await isClock();
    await fire(timers);
  });
});
