import { parseArgs } from 'node:util';
import { benchGuards } from './guards/bench-guards.js';
import { benchOutbox } from './outbox/bench-outbox.js';
import { benchRelay } from './relay/bench-relay.js';
import { benchSaga } from './saga/bench-saga.js';
import { benchSchedule } from './schedule/bench-schedule.js';
import { benchTopics } from './topics/bench-topics.js';
import { benchTransport } from './transport/bench-transport.js';

/** Prints a line of progress; the result goes to stdout, this to stderr. */
export type Report = (line: string) => void;

const BENCHES = {
  outbox: benchOutbox,
  relay: benchRelay,
  schedule: benchSchedule,
  guards: benchGuards,
  saga: benchSaga,
  topics: benchTopics,
  transport: benchTransport,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false } },
});
const name = positionals[0] ?? '';
const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name as keyof typeof BENCHES] : undefined;
if (bench === undefined || positionals.length > 1) {
  console.error(`Usage: npm run bench -- ${Object.keys(BENCHES).join('|')} [--json]`);
  process.exit(2);
}
try {
  const result = await bench((line) => console.error(line));
  if (values.json) console.log(JSON.stringify(result));
  else for (const [figure, value] of Object.entries(result)) console.log(`${figure.padEnd(20)} ${value}`);
} catch (error) {
  console.error(error);
  process.exit(1);
}
