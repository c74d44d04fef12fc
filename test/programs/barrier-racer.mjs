// Does the operations `ops` of each of the distributed transactions `gids` in separate transactions, `parallel` at a
// time and in any order, each until its outcome is known; kills itself within one in `dieEvery`. With `waits` it
// starts at SIGUSR2.
import { once } from 'node:events';
import { isWaybillError, PgDatabase, PgTransactionRunner } from '@waybill/kernel';
import { BarrierParticipant } from '@waybill/guard';
import { joinTransaction } from '@waybill/outbox';

const {
  url,
  gids,
  ops,
  waits = false,
  parallel = 8,
  dieEvery = 0,
  preparedStatements,
} = JSON.parse(process.argv[2]);
const database = new PgDatabase({ connectionString: url, connectionsMax: parallel });
const runner = new PgTransactionRunner(database, preparedStatements);
const barrier = new BarrierParticipant({ join: (tx) => joinTransaction(tx, 'waybill', false).session });

async function operate({ gid, op }) {
  return runner.run({
    work: ({ handle }) =>
      barrier.call(handle, { gid, branch: '01', op }, async () => {
        await handle.query('insert into effect (op, branch, gid) values ($1, $2, $3)', [op, '01', gid]);
        if (dieEvery > 0 && Math.random() * dieEvery < 1) process.kill(process.pid, 'SIGKILL');
        return op;
      }),
    timeoutMs: 20_000,
  });
}

const all = gids.flatMap((gid) => ops.map((op) => ({ gid, op, rank: Math.random() })));
all.sort((a, b) => Math.floor(a.rank * 4) - Math.floor(b.rank * 4));
await database.pool.query('select 1');
// All processes start together; otherwise the first would be done before the last has started.
const begin = waits ? once(process, 'SIGUSR2') : undefined;
console.log('ready');
await begin;
let next = 0;
await Promise.all(
  Array.from({ length: parallel }, async () => {
    while (next < all.length) {
      const call = all[next];
      next += 1;
      for (;;) {
        try {
          const { outcome } = await operate(call);
          console.log(`${outcome} ${call.op} ${call.gid}`);
          break;
        } catch (error) {
          const { code } = isWaybillError(error) ? error : {};
          console.log(`failed ${code} ${String(error.cause?.code)} ${error.message}`);
          if (!error.retryable) break;
        }
      }
    }
  }),
);
console.log('done');
await database.close();
