import { migrate } from '@waybill/schema';
import { createDatabase, ensurePostgres, type TestDatabase } from '@waybill/testing';
import type { Report } from '../main.js';
import { median, rounded } from '../statistics.js';
import { fillTables } from './full-tables.js';
import { SagaServices } from './saga-services.js';

const IN_FLIGHT = 200;
const WARM_UP = 200;
const TCC_WARM_UP = 60;
/** Length of a round in seconds, by the rate of the warm-up. */
const ROUND_SECONDS = 4;
const ROUNDS = 7;
const MODERATE_PER_SECOND = 20;
const MODERATE_SECONDS = 10;

/** Results of `npm run bench -- saga`. */
export interface SagaFigures {
  /** Order sagas of three remote steps and a local one, from start to end, per second. */
  readonly sagasPerSecond: number;
  /** From the start of a saga to its end by the database's clock, at 20 sagas per second. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Statements of a saga, everything included: its start, relay, participants, replies. */
  readonly statementsPerSaga: number;
  /** Rate with a million ended and 100,000 waiting sagas, relative to that in empty tables. */
  readonly fullTablesRatio: number;
  /** TCC transactions of three branches per second, from start to end. */
  readonly tccPerSecond: number;
}

/** Runs the measurements. The service with the sagas and its three participants run in this process. */
export async function benchSaga(report: Report): Promise<SagaFigures> {
  const server = await ensurePostgres();
  const databases: TestDatabase[] = [];
  const open = async (fill: boolean): Promise<SagaServices> => {
    const database = await createDatabase(server, 'bench');
    databases.push(database);
    await migrate({ connectionString: database.connectionString });
    if (fill) await fillTables(database.connectionString, report);
    return SagaServices.open(database.connectionString);
  };
  const floors: SagaServices[] = [];
  try {
    const empty = await open(false);
    const full = await open(true);
    floors.push(empty, full);
    const { rates, ratios, statements } = await measureRates(empty, full, report);
    const { p50Ms, p99Ms } = await empty.run(() => empty.pace(MODERATE_PER_SECOND, MODERATE_SECONDS));
    report(`${MODERATE_PER_SECOND} sagas per second: p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`);
    const tcc = await empty.run(() => measureTcc(empty, report));
    return {
      sagasPerSecond: Math.round(median(rates)),
      p50Ms: rounded(p50Ms, 1),
      p99Ms: rounded(p99Ms, 1),
      statementsPerSaga: rounded(median(statements), 1),
      fullTablesRatio: rounded(median(ratios), 3),
      tccPerSecond: Math.round(median(tcc)),
    };
  } finally {
    for (const floor of floors) await floor.close();
    for (const database of databases) await database.drop();
    await server.stop();
  }
}

/** Rates in empty and in full tables, which take turns, and the cost of a saga in empty ones. */
async function measureRates(
  empty: SagaServices,
  full: SagaServices,
  report: Report,
): Promise<{ rates: number[]; ratios: number[]; statements: number[] }> {
  const rates: number[] = [];
  const ratios: number[] = [];
  const statements: number[] = [];
  const once = (floor: SagaServices, sagas: number): Promise<number> =>
    floor.run(() => floor.throughput('order', sagas, IN_FLIGHT));
  const warm = [await once(empty, WARM_UP), await once(full, WARM_UP)];
  const sagas = Math.ceil(ROUND_SECONDS * Math.max(...warm));
  for (let round = 0; round < ROUNDS; round += 1) {
    const inEmpty = async (): Promise<number> => {
      const cost = await empty.cost(sagas, () => once(empty, sagas));
      statements.push(cost.statements);
      report(
        `order sagas: ${Math.round(cost.result)}/s in empty tables; each ${cost.statements.toFixed(1)} statements in ` +
          `${cost.trips.toFixed(1)} round trips, ${Math.round(cost.walBytes)} bytes of WAL`,
      );
      return cost.result;
    };
    const first = round % 2 === 0 ? await inEmpty() : undefined;
    const inFull = await once(full, sagas);
    report(`order sagas: ${Math.round(inFull)}/s in full tables`);
    const rate = first ?? (await inEmpty());
    rates.push(rate);
    ratios.push(inFull / rate);
  }
  return { rates, ratios, statements };
}

async function measureTcc(floor: SagaServices, report: Report): Promise<number[]> {
  const rates: number[] = [];
  const warm = await floor.throughput('trip', TCC_WARM_UP, IN_FLIGHT);
  for (let round = 0; round < ROUNDS; round += 1) {
    rates.push(await floor.throughput('trip', Math.ceil(ROUND_SECONDS * warm), IN_FLIGHT));
    report(`TCC of three branches: ${Math.round(rates.at(-1) ?? 0)}/s`);
  }
  return rates;
}
