import { join } from 'node:path';
import { CUSTOMERS, SKUS } from './saga-tables.js';

const LEASE = { leaseMs: 2_500, heartbeatMs: 500 };
/** Messages that one incarnation of a producer may number. */
const NUMBERS = 1_000_000;

/** The groups that handle every message, and in which order; `elsewhere` belongs to another service, with a database of its own. */
export const GROUPS = { 'by-key': 'key', 'by-partition': 'partition', elsewhere: 'key' } as const;

/** Sagas that are started per second, all processes together. */
const SAGAS_PER_SECOND = 6;

/** A process: its name, its program, and its settings by incarnation. */
export type Program = readonly [
  name: string,
  program: string,
  settings: (incarnation: number) => Record<string, unknown>,
];

/** What the programs of a run are given. */
export interface ProgramsToRun {
  /** Where their histories go. */
  readonly folder: string;
  readonly seed: number;
  /** Business transactions per second, all producers together. */
  readonly perSecond: number;
  readonly keys: number;
  /** Name of the service's database. */
  readonly main: string;
  /** Name of the other service's database. */
  readonly local: string;
  /** Name of the sagas' database; undefined where they are in the service's. */
  readonly sagas: string | undefined;
  /** Name of the bus's database; undefined where the service's database is the bus. */
  readonly bus: string | undefined;
  /** Redis as the clock of timers, where there is one. */
  readonly redis: string | undefined;
}

/** Settings of every process. */
function commonSettings({ folder, seed, bus }: ProgramsToRun) {
  return (name: string, index: number, incarnation: number): Record<string, unknown> => ({
    history: join(folder, `${name}.ndjson`),
    seed: seed + index * 1_000 + incarnation,
    ...(bus === undefined ? {} : { bus }),
  });
}

/** Starts sagas, runs them, and serves their commands. */
function sagas(number: number, load: ProgramsToRun): Program {
  const name = `sagas-${number}`;
  return [
    name,
    'sagas',
    (incarnation) => ({
      ...commonSettings(load)(name, 40 + number, incarnation),
      perSecond: SAGAS_PER_SECOND / 2,
      customers: Object.keys(CUSTOMERS),
      skus: Object.keys(SKUS),
      ...(load.sagas === undefined ? {} : { service: load.sagas }),
      ...LEASE,
    }),
  ];
}

/** What the sagas' service has of its own: a relay, and the timers by which it reports dead commands. */
function ofSagasService(load: ProgramsToRun, service: string): Program[] {
  return (['relay', 'timers'] as const).map((program, index) => {
    const name = `${program}-of-sagas`;
    return [
      name,
      program,
      (incarnation) => ({ ...commonSettings(load)(name, 12 + index, incarnation), service }),
    ];
  });
}

/** The processes of the load. */
export function programs(load: ProgramsToRun): Program[] {
  const { seed, perSecond, keys, main, local, bus, redis } = load;
  const common = commonSettings(load);
  const producer = (number: number): Program => [
    `producer-${number}`,
    'producer',
    (incarnation) => ({
      ...common(`producer-${number}`, number, incarnation),
      first: (number * 200 + incarnation) * NUMBERS,
      perSecond: perSecond / 2,
      keys,
    }),
  ];
  const relay = (number: number): Program => [
    `relay-${number}`,
    'relay',
    (incarnation) => common(`relay-${number}`, 10 + number, incarnation),
  ];
  const timers = (number: number): Program => [
    `timers-${number}`,
    'timers',
    (incarnation) => ({
      ...common(`timers-${number}`, 15 + number, incarnation),
      // In odd runs both processes depend on Redis; in even ones one works beside it.
      ...(number === 1 || seed % 2 === 1 ? { redis } : {}),
    }),
  ];
  const halves = (number: number): Program => [
    `halves-${number}`,
    'halves',
    (incarnation) => ({
      ...common(`halves-${number}`, 17 + number, incarnation),
      local,
      first: (number * 200 + incarnation) * NUMBERS,
      perSecond: 10,
    }),
  ];
  const consumer = (group: keyof typeof GROUPS, number: number): Program => [
    `consumer-${group}-${number}`,
    'consumer',
    (incarnation) => ({
      ...common(`consumer-${group}-${number}`, 20 + number, incarnation),
      group,
      concurrency: GROUPS[group],
      handlesOthers: group === 'by-key',
      relays: group !== 'elsewhere' && number === 1,
      ...(group === 'elsewhere' ? { service: local, bus: bus ?? main } : {}),
      ...LEASE,
    }),
  ];
  return [
    producer(1),
    producer(2),
    relay(1),
    relay(2),
    ...(load.sagas === undefined ? [] : ofSagasService(load, load.sagas)),
    timers(1),
    timers(2),
    halves(1),
    halves(2),
    consumer('by-key', 1),
    consumer('by-key', 2),
    consumer('by-partition', 1),
    consumer('by-partition', 2),
    consumer('elsewhere', 1),
    consumer('elsewhere', 2),
    ...[1, 2].map((number) => sagas(number, load)),
  ];
}
