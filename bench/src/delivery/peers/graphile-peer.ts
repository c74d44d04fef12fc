import { makeWorkerUtils, run } from 'graphile-worker';
import { Logger } from '@graphile/logger';
import { INSERT_EFFECT, keyOf, payloadOf, type Peer } from '../peer.js';

const TASK = 'handle';
const logger = new Logger(() => () => {});

/** graphile-worker, with its local queue and its batched completions. */
export const graphilePeer: Peer = {
  async prepare(connectionString) {
    const utils = await makeWorkerUtils({ connectionString, logger });
    await utils.migrate();
    await utils.release();
  },

  async produce() {
    return {
      publish: (client, n) =>
        client.query('select graphile_worker.add_job($1, $2::json)', [
          TASK,
          JSON.stringify({ ...payloadOf(n), key: keyOf(n) }),
        ]),
      stop: async () => {},
    };
  },

  async fill(connectionString, messages) {
    const utils = await makeWorkerUtils({ connectionString, logger });
    await utils.withPgClient((client) =>
      client.query(
        `select graphile_worker.add_jobs(array_agg((($1::text, json_build_object('n', n, 'text', repeat('x', 180)),
                null, null, null, null, null, null)::graphile_worker.job_spec)), true)
           from generate_series(0, $2::integer - 1) n`,
        [TASK, messages],
      ),
    );
    await utils.release();
  },

  async consume(connectionString, work, handled) {
    const runner = await run({
      connectionString,
      logger,
      concurrency: 24,
      noHandleSignals: true,
      preset: { worker: { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
      taskList: {
        [TASK]: async (payload, { query }) => {
          const { n } = payload as { n: number };
          if (work === 'insert') await query(INSERT_EFFECT, [n]);
          handled(n);
        },
      },
    });
    return () => runner.stop();
  },
};
