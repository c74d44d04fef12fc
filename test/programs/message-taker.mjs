// Takes messages by the message-id guard, each of `ids` `times` times and all at once, when the test releases the
// advisory lock 1. An effect is a row of the table effect. `killAt` is where it kills itself at the first message that
// gets there: entering, working, worked, kept, committed.
import { PgDatabase, PgTransactionRunner } from '@waybill/kernel';
import { MessageIdGuard } from '@waybill/guard';
import { joinTransaction } from '@waybill/outbox';

const {
  url,
  ids,
  times = 1,
  parallel = times,
  killAt,
  workMs = 0,
  preparedStatements,
} = JSON.parse(process.argv[2]);
const database = new PgDatabase({ connectionString: url, connectionsMax: parallel + 2 });
const runner = new PgTransactionRunner(database, preparedStatements);

function at(place) {
  if (place === killAt) process.kill(process.pid, 'SIGKILL');
}

/** The session of a transaction, with the places around the guard's statements. */
function join(tx) {
  const { session } = joinTransaction(tx, 'waybill', false);
  return {
    schema: session.schema,
    async run(statement, ...params) {
      at({ 'enter-message': 'entering', 'keep-message': 'worked' }[statement.name]);
      const rows = await session.run(statement, ...params);
      if (statement.name === 'keep-message') at('kept');
      return rows;
    },
  };
}
const guard = new MessageIdGuard({ join });

async function take(id) {
  const outcome = await runner.run({
    timeoutMs: 30_000,
    work: ({ handle }) =>
      guard.once(handle, 'billing', id, async () => {
        const { rows } = await handle.query(
          'insert into effect (message_id, pid) values ($1, $2) returning id',
          [id, process.pid],
        );
        at('working');
        await handle.query('select pg_sleep($1)', [workMs / 1_000]);
        return { by: Number(rows[0].id) };
      }),
  });
  at('committed');
  console.log(`took ${JSON.stringify({ id, ...outcome.result, duplicate: outcome.duplicate })}`);
}

await database.pool.query('select 1');
console.log('ready');
await database.pool.query('select pg_advisory_lock_shared(1)');
const waiting = ids.flatMap((id) => Array.from({ length: times }, () => id));
// Each process starts at a different message, so that each is sometimes first.
waiting.push(...waiting.splice(0, Math.floor(Math.random() * waiting.length)));
await Promise.all(
  Array.from({ length: parallel }, async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) await take(id);
  }),
);
await database.close();
