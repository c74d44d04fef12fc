import { parseArgs } from 'node:util';
import { benchDelivery } from './delivery/bench-delivery.js';
import { benchGuards } from './guards/bench-guards.js';
import { benchIdle } from './idle/bench-idle.js';
import { benchOutbox } from './outbox/bench-outbox.js';
import { benchRelay } from './relay/bench-relay.js';
import { benchSaga } from './saga/bench-saga.js';
import { benchSchedule } from './schedule/bench-schedule.js';
import { benchTopics } from './topics/bench-topics.js';
import { benchTransport } from './transport/bench-transport.js';

/** Prints a line of progress; the result goes to stdout, this to stderr. */
export type Report = (line: string) => void;

/** Settings of a run. */
export interface BenchOptions {
  /** How often each system has its turn, where the benchmark compares several in rounds. */
  readonly rounds?: number;
  /** Which systems are compared. Default: all. */
  readonly peers?: readonly string[];
  /** A directory for CPU profiles and statistics of statements, of one round more. Default: none. */
  readonly profile?: string;
}

const BENCHES = {
  delivery: benchDelivery,
  outbox: benchOutbox,
  relay: benchRelay,
  schedule: benchSchedule,
  guards: benchGuards,
  idle: benchIdle,
  saga: benchSaga,
  topics: benchTopics,
  transport: benchTransport,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    peers: { type: 'string' },
    profile: { type: 'string' },
  },
});
const name = positionals[0] ?? '';
const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name as keyof typeof BENCHES] : undefined;
if (bench === undefined || positionals.length > 1) {
  console.error(
    `Usage: npm run bench -- ${Object.keys(BENCHES).join('|')} [--json] [--rounds N] [--peers A,B] [--profile DIRECTORY]`,
  );
  process.exit(2);
}
try {
  const { rounds, peers, profile } = values;
  const options = {
    ...(rounds === undefined ? {} : { rounds: Number(rounds) }),
    ...(peers === undefined ? {} : { peers: peers.split(',') }),
    ...(profile === undefined ? {} : { profile }),
  };
  const result = await bench((line) => console.error(line), options);
  if (values.json) console.log(JSON.stringify(result));
  else for (const [figure, value] of Object.entries(result)) console.log(`${figure.padEnd(20)} ${value}`);
} catch (error) {
  console.error(error);
  process.exit(1);
}
