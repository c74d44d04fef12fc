import PgBoss from 'pg-boss';
import { INSERT_EFFECTS, keyOf, payloadOf, type Peer } from '../peer.js';

const QUEUE = 'orders';
/** It fetches as often as its shortest polling interval says, also when more is waiting. */
const MOST = 10_000;

/** pg-boss, which hands jobs to its handler in batches. */
export const pgbossPeer: Peer = {
  async prepare(url) {
    const boss = await start(url);
    await boss.createQueue(QUEUE);
    await stop(boss);
  },

  async produce(url) {
    const boss = await start(url);
    return {
      publish: (client, n) =>
        boss.send(
          QUEUE,
          { ...payloadOf(n), key: keyOf(n) },
          { db: { executeSql: (text, values) => client.query(text, values) } },
        ),
      stop: () => stop(boss),
    };
  },

  async fill(url, messages) {
    const boss = await start(url);
    for (let n = 0; n < messages; n += 1_000) {
      const jobs = Array.from({ length: Math.min(1_000, messages - n) }, (_, index) => ({
        name: QUEUE,
        data: payloadOf(n + index),
      }));
      await boss.insert(jobs);
    }
    await stop(boss);
  },

  async consume(url, work, handled) {
    const boss = await start(url);
    await boss.work<{ n: number }>(QUEUE, { batchSize: MOST, pollingIntervalSeconds: 0.5 }, async (jobs) => {
      const numbers = jobs.map(({ data }) => data.n);
      if (work === 'insert') await boss.getDb().executeSql(INSERT_EFFECTS, [numbers]);
      for (const n of numbers) handled(n);
    });
    return () => stop(boss);
  },
};

async function start(connectionString: string): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString, supervise: false, schedule: false });
  boss.on('error', (error) => console.error(error));
  return boss.start();
}

async function stop(boss: PgBoss): Promise<void> {
  await boss.stop({ graceful: true, wait: true });
}
