import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { SagaDesk } from '@waybill/nestjs';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import { Pool } from 'pg';
import type { Trips } from '../../examples/trip/trips.js';

const TABLES = `
  create table offer (what text primary key, free int not null);
  create table booking (trip_id text, what text, state text not null, primary key (trip_id, what));
  insert into offer values ('LH 400', 5), ('Ritz', 5), ('Adler', 0), ('Mini', 5)`;

let database: TestDatabase;
let pool: Pool;
let apps: { trips: INestApplication; bookings: INestApplication } | undefined;
let trips: Trips;
let desk: SagaDesk;
beforeAll(async () => {
  database = await testDatabase('trip_example');
  pool = new Pool({ connectionString: database.connectionString });
  await pool.query(TABLES);
  process.env['DATABASE_URL'] = database.connectionString;
  const { start } = await import('../../examples/trip/main.js');
  const { Trips: service } = await import('../../examples/trip/trips.js');
  apps = await start();
  trips = apps.trips.get(service);
  desk = apps.trips.get(SagaDesk);
});
afterAll(async () => {
  const own = apps?.trips.get<Pool>(Pool);
  await apps?.trips.close();
  await apps?.bookings.close();
  await own?.end();
  await pool.end();
  await database.drop();
});

async function ended(id: string): Promise<string> {
  let state = '';
  await waitUntil(
    async () => {
      state = (await desk.show(id)).state;
      return state === 'COMPLETED' || state === 'COMPENSATED' || state === 'STUCK';
    },
    { describe: () => `the trip is ${state}` },
  );
  return state;
}

const free = async (): Promise<Record<string, number>> => {
  const { rows } = await pool.query<{ what: string; free: number }>('select what, free from offer');
  return Object.fromEntries(rows.map(({ what, free: places }) => [what, places]));
};

test('a trip is booked as a whole', async () => {
  const id = await trips.book({ tripId: 'T-1', flightNumber: 'LH 400', hotelName: 'Ritz', carModel: 'Mini' });
  expect(await ended(id)).toBe('COMPLETED');
  const { rows } = await pool.query('select what, state from booking where trip_id = $1 order by what', [
    'T-1',
  ]);
  expect(rows).toEqual(['LH 400', 'Mini', 'Ritz'].map((what) => ({ what, state: 'booked' })));
  expect(await free()).toEqual({ 'LH 400': 4, Ritz: 4, Adler: 0, Mini: 4 });
  expect((await desk.show(id)).instance.data).toMatchObject({
    tries: { flight: { place: 5 }, car: { place: 5 } },
  });
});

test('when one place is not to be had, all are given back', async () => {
  const before = await free();
  const id = await trips.book({
    tripId: 'T-2',
    flightNumber: 'LH 400',
    hotelName: 'Adler',
    carModel: 'Mini',
  });
  expect(await ended(id)).toBe('COMPENSATED');
  expect((await desk.show(id)).reason).toBe('step hotel was rejected: there is no place left: Adler');
  expect((await pool.query('select * from booking where trip_id = $1', ['T-2'])).rows).toEqual([]);
  expect(await free()).toEqual(before);
});
