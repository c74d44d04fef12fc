import { test } from '@jest/globals';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';
import { TcpProxy } from '../chaos/src/faults/tcp-proxy.js';
import { describeWithRedis, timersOf } from '../support/timers.js';

describeWithRedis('a connection to Redis that goes silent', (redis) => {
  test('is replaced by a new one, and stopping does not wait for it', async () => {
    const fixture = await Fixture.create();
    const proxy = await TcpProxy.start(redis().url);
    const { service } = timersOf(fixture, { ...redis(), url: proxy.url }, { distrustMs: 0 });
    service.start();
    try {
      const isClock = (): boolean => service.status.clock === 'redis';
      await waitUntil(isClock, { describe: 'Redis is the clock', timeoutMs: 10_000 });
      proxy.silence();
      await waitUntil(() => !isClock(), { describe: 'it is not relied on', timeoutMs: 10_000 });
      proxy.heal();
      await waitUntil(isClock, { describe: 'it is the clock again', timeoutMs: 20_000 });
      proxy.silence();
      let isStopped = false;
      const stopping = service.stop().then(() => (isStopped = true));
      await waitUntil(() => isStopped, { describe: 'it stops', timeoutMs: 8_000 });
      await stopping;
    } finally {
      await service.stop();
      await fixture.close();
      await proxy.close();
    }
  });
});
