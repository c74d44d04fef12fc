// Fires timers until it is stopped, and schedules some. `killEvery` kills it between the claim of a pass and its commit,
// at one in `killEvery` messages; with `fire: false` it only schedules.
import { newId, PgDatabase } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { armedBy, TimerService, timerStatements } from '@waybill/timer';

const { url, options = {}, fire = true, killEvery = 0, schedule } = JSON.parse(process.argv[2]);
const database = new PgDatabase({ connectionString: url, applicationName: 'test timers' });
const logger = { debug() {}, info: console.log, warn: console.log, error: console.log };
const log = new PostgresLogEngine(database);
const { topics } = log;
const peek = topics.peek.bind(topics);
topics.peek = (name) => {
  if (killEvery > 0 && Math.random() * killEvery < 1) process.kill(process.pid, 'SIGKILL');
  return peek(name);
};
const service = new TimerService({ database, log, logger }, options);
process.on('SIGTERM', async () => {
  await service.stop();
  await database.close();
});

/** Schedules numbered messages, due at uniformly random times within a span from now, a few hundred at a time. */
async function scheduleSome({ first, count, fromMs, toMs }) {
  for (let n = first; n < first + count; n += 500) {
    const { rows } = await database.pool.query(
      'select (extract(epoch from clock_timestamp()) * 1000)::float8 as now',
    );
    const commands = Array.from({ length: Math.min(500, first + count - n) }, (_, index) => {
      const dueMs = Math.ceil(rows[0].now + fromMs + Math.random() * (toMs - fromMs));
      const payload = Buffer.from(JSON.stringify({ n: n + index, dueMs }));
      const message = {
        id: newId(),
        token: null,
        topic: 'orders',
        partition: null,
        key: null,
        headers: null,
      };
      return { action: 'schedule', message: { ...message, payload }, dueMs };
    });
    await database.withConnection(async (connection) => {
      const results = await connection.runBatch(timerStatements(commands), { begin: true, commit: true });
      service.armed(armedBy(results));
    });
  }
}

await database.pool.query('select 1');
if (fire) service.start();
console.log('ready');
if (schedule !== undefined) {
  await scheduleSome(schedule);
  console.log('scheduled');
}
