import { join } from 'node:path';

const LEASE = { leaseMs: 2_500, heartbeatMs: 500 };
/** Messages that one incarnation of a producer may number. */
const NUMBERS = 1_000_000;

/** The groups that handle every message, and in which order. */
export const GROUPS = { 'by-key': 'key', 'by-partition': 'partition' } as const;

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
  /** Name of the database of local work. */
  readonly local: string;
}

/** The processes of the load. */
export function programs({ folder, seed, perSecond, keys, local }: ProgramsToRun): Program[] {
  const common = (name: string, index: number, incarnation: number): Record<string, unknown> => ({
    history: join(folder, `${name}.ndjson`),
    seed: seed + index * 1_000 + incarnation,
  });
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
    (incarnation) => common(`timers-${number}`, 15 + number, incarnation),
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
      ...LEASE,
    }),
  ];
  return [
    producer(1),
    producer(2),
    relay(1),
    relay(2),
    timers(1),
    timers(2),
    halves(1),
    halves(2),
    consumer('by-key', 1),
    consumer('by-key', 2),
    consumer('by-partition', 1),
    consumer('by-partition', 2),
  ];
}
