import pg from 'pg';
import { type Handled, INSERT_EFFECTS, keyOf, payloadOf, type Peer, type Work } from '../peer.js';

const MOST = 1_000;
/** Between two looks that found nothing, in milliseconds. */
const POLL_MS = 20;

const TABLE = `create table job (id bigint generated always as identity primary key, key text, payload jsonb not null)`;
const TAKE = `delete from job where id in (select id from job order by id limit ${MOST} for update skip locked)
              returning payload`;

/** A plain table as a queue, taken from by SKIP LOCKED in batches, with the effect in the same transaction. */
export const tablePeer: Peer = {
  async prepare(url) {
    await once(url, TABLE);
  },

  async produce() {
    return {
      publish: (client, n) =>
        client.query('insert into job (key, payload) values ($1, $2)', [
          keyOf(n),
          JSON.stringify(payloadOf(n)),
        ]),
      stop: async () => {},
    };
  },

  async fill(url, messages) {
    await once(
      url,
      `insert into job (key, payload)
       select 'order-' || (n % 500), jsonb_build_object('n', n, 'text', repeat('x', 180)) from generate_series(0, ${messages - 1}) n`,
    );
  },

  async consume(url, work, handled) {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const stopping = new AbortController();
    const ended = (async () => {
      while (!stopping.signal.aborted) {
        const taken = await takeOnce(client, work, handled);
        if (taken < MOST) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    })();
    return async () => {
      stopping.abort();
      await ended;
      await client.end();
    };
  },
};

async function takeOnce(client: pg.Client, work: Work, handled: Handled): Promise<number> {
  await client.query('begin');
  const { rows } = await client.query<{ payload: { n: number } }>(TAKE);
  const numbers = rows.map(({ payload }) => payload.n);
  if (work === 'insert' && numbers.length > 0) await client.query(INSERT_EFFECTS, [numbers]);
  await client.query('commit');
  for (const n of numbers) handled(n);
  return numbers.length;
}

async function once(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(text).finally(() => client.end());
}
