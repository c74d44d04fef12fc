import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { SagaUnderWayError } from '@waybill/saga';
import { SagaOperations, Sagas, Tcc } from '@waybill/nestjs';
import { type TestDatabase, testDatabase } from '@waybill/testing';
import { Pool } from 'pg';
import type { Trips } from '../../examples/trip/trips.js';

const TABLES = `
  create table offer (what text primary key, free int not null);
  create table booking (trip_id text, what text, state text not null, primary key (trip_id, what));
  insert into offer values ('LH 400', 5), ('Ritz', 5), ('Adler', 0), ('Mini', 5)`;

let database: TestDatabase;
let pool: Pool;
interface Apps {
  readonly trips: INestApplication;
  readonly bookings: INestApplication;
}
let apps: Apps | undefined;
let trips: Trips;
let operations: SagaOperations;
beforeAll(async () => {
  database = await testDatabase('trip_example');
  pool = new Pool({ connectionString: database.connectionString });
  await pool.query(TABLES);
  process.env['DATABASE_URL'] = database.connectionString;
  const { start } = await import('../../examples/trip/main.js');
  const { Trips: service } = await import('../../examples/trip/trips.js');
  apps = await start();
  trips = apps.trips.get(service);
  operations = apps.trips.get(SagaOperations);
});
afterAll(async () => {
  await apps?.trips.close();
  await apps?.bookings.close();
  await pool.end();
  await database.drop();
});

const free = async (): Promise<Record<string, number>> => {
  const { rows } = await pool.query<{ what: string; free: number }>('select what, free from offer');
  return Object.fromEntries(rows.map(({ what, free: places }) => [what, places]));
};

test('a trip is booked as a whole', async () => {
  const trip = { tripId: 'T-1', flightNumber: 'LH 400', hotelName: 'Ritz', carModel: 'Mini' };
  const booked = await trips.book(trip);
  expect(booked).toMatchObject({ confirmed: true, reason: null });
  expect(booked.tries).toEqual({ flight: { place: 5 }, hotel: { place: 5 }, car: { place: 5 } });
  const { rows } = await pool.query('select what, state from booking where trip_id = $1 order by what', [
    'T-1',
  ]);
  expect(rows).toEqual(['LH 400', 'Mini', 'Ritz'].map((what) => ({ what, state: 'booked' })));
  expect(await free()).toEqual({ 'LH 400': 4, Ritz: 4, Adler: 0, Mini: 4 });
  expect((await operations.show(booked.id)).state).toBe('COMPLETED');
  expect(await trips.book(trip)).toEqual(booked);
  expect(await free()).toMatchObject({ Ritz: 4 });
});

test('when one booking is not available, all are released', async () => {
  const before = await free();
  const refused = await trips.book({
    tripId: 'T-2',
    flightNumber: 'LH 400',
    hotelName: 'Adler',
    carModel: 'Mini',
  });
  expect(refused).toMatchObject({
    confirmed: false,
    reason: 'step hotel was rejected: there is no place left: Adler',
  });
  expect((await pool.query('select * from booking where trip_id = $1', ['T-2'])).rows).toEqual([]);
  expect(await free()).toEqual(before);
});

test('a caller that waits too long for a trip gets an error, and the trip continues', async () => {
  const sagas = (apps as Apps).trips.get(Sagas);
  const tcc = (apps as Apps).trips.get(Tcc);
  const { BookTrip } = await import('../../examples/trip/trips.js');
  const { definition } = (apps as Apps).trips.get(BookTrip);
  const blocked = await pool.connect();
  await blocked.query('begin');
  await blocked.query(`select from offer where what = 'Ritz' for update`);
  const data = { tripId: 'T-3', flightNumber: 'LH 400', hotelName: 'Ritz', carModel: 'Mini' };
  const waiting = tcc.run(definition, { key: 'T-3', data, timeoutMs: 200 });
  await expect(waiting).rejects.toBeInstanceOf(SagaUnderWayError);
  const given = new AbortController();
  const givenUp = sagas.outcome({ saga: definition, key: 'T-3' }, { signal: given.signal });
  given.abort(new Error('the browser has gone'));
  await expect(givenUp).rejects.toThrow('the browser has gone');
  await blocked.query('rollback');
  blocked.release();
  expect(await sagas.outcome({ saga: definition, key: 'T-3' })).toMatchObject({ state: 'COMPLETED' });
  expect(await tcc.run(definition, { key: 'T-3', data })).toMatchObject({ confirmed: true });
});
