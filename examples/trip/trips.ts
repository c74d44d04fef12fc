import { Injectable, Module } from '@nestjs/common';
import { Saga, Tcc, tcc, tccBranch, type TccOutcome, WaybillModule } from '@waybill/nestjs';
import { cars, flights, hotels, type Place, type Trip } from './contracts.js';
import { connectionString } from './database.js';

const branch = (commands: typeof flights, what: (trip: Trip) => string) =>
  tccBranch<Trip, Place, { place: number }>({
    ...commands,
    with: (trip) => ({ tripId: trip.tripId, what: what(trip) }),
  });

/**
 * All three are tried in parallel; then all are confirmed, or all are cancelled. Their replies to the try are in the
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
    private readonly tcc: Tcc,
    private readonly bookTrip: BookTrip,
  ) {}

  /** Books it, and waits for the outcome. Called again for the same trip, it waits for the same booking. */
  book(trip: Trip): Promise<TccOutcome> {
    return this.tcc.run(this.bookTrip.definition, { key: trip.tripId, data: trip });
  }
}

@Module({
  imports: [WaybillModule.forRoot({ database: { connectionString }, group: 'trips' })],
  providers: [BookTrip, Trips],
})
export class TripsModule {}
