import { Injectable, Module } from '@nestjs/common';
import { Saga, Sagas, tcc, tccBranch, WaybillModule } from '@waybill/nestjs';
import { Pool } from 'pg';
import { cars, flights, hotels, type Place, type Trip } from './contracts.js';
import { connectionString } from './database.js';

const branch = (commands: typeof flights, what: (trip: Trip) => string) =>
  tccBranch<Trip, Place, { place: number }>({
    ...commands,
    with: (trip) => ({ tripId: trip.tripId, what: what(trip) }),
  });

/**
 * All three are tried side by side; then all are confirmed, or all are cancelled. What they answer to the try stands in the
 * data as `tries.flight`, `tries.hotel` and `tries.car`.
 */
@Saga()
export class BookTrip {
  readonly definition = tcc<Trip>('trips.book', {
    flight: branch(flights, ({ flightNumber }) => flightNumber),
    hotel: branch(hotels, ({ hotelName }) => hotelName),
    car: branch(cars, ({ carModel }) => carModel),
  });
}

@Injectable()
export class Trips {
  constructor(
    private readonly database: Pool,
    private readonly sagas: Sagas,
    private readonly bookTrip: BookTrip,
  ) {}

  /** @returns the id of the saga that books it */
  async book(trip: Trip): Promise<string> {
    const tx = await this.database.connect();
    try {
      await tx.query('begin');
      const { id } = await this.sagas.start(tx, this.bookTrip.definition, { key: trip.tripId, data: trip });
      await tx.query('commit');
      return id;
    } finally {
      tx.release(tx.getTransactionStatus() !== 'I');
    }
  }
}

@Module({
  imports: [WaybillModule.forRoot({ database: { connectionString }, group: 'trips' })],
  providers: [{ provide: Pool, useFactory: () => new Pool({ connectionString }) }, BookTrip, Trips],
})
export class TripsModule {}
