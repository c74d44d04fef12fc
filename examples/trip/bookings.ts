import { Module } from '@nestjs/common';
import { Ctx, Payload } from '@nestjs/microservices';
import {
  SagaCommand,
  SagaParticipant,
  SagaRejectedError,
  WaybillContext,
  WaybillModule,
} from '@waybill/nestjs';
import { cars, flights, hotels, type Place } from './contracts.js';
import { connectionString } from './database.js';

/** Keeps a place: it is reserved, and can be given back. */
async function keep({ tripId, what }: Place, { transaction }: WaybillContext): Promise<{ place: number }> {
  const { rows } = await transaction.query<{ place: number }>(
    'update offer set free = free - 1 where what = $1 and free > 0 returning free + 1 as place',
    [what],
  );
  const [found] = rows;
  if (found === undefined) throw new SagaRejectedError(`there is no place left: ${what}`);
  await transaction.query(`insert into booking (trip_id, what, state) values ($1, $2, 'kept')`, [
    tripId,
    what,
  ]);
  return found;
}

async function confirm({ tripId, what }: Place, { transaction }: WaybillContext): Promise<void> {
  await transaction.query(`update booking set state = 'booked' where trip_id = $1 and what = $2`, [
    tripId,
    what,
  ]);
}

/** Runs only if a place was kept: a try that was rejected, or never arrived, has nothing to undo. */
async function giveBack({ tripId, what }: Place, { transaction }: WaybillContext): Promise<void> {
  await transaction.query('delete from booking where trip_id = $1 and what = $2', [tripId, what]);
  await transaction.query('update offer set free = free + 1 where what = $1', [what]);
}

@SagaParticipant()
export class Flights {
  @SagaCommand(flights.try)
  try(@Payload() place: Place, @Ctx() ctx: WaybillContext): Promise<{ place: number }> {
    return keep(place, ctx);
  }

  @SagaCommand(flights.confirm)
  confirm(@Payload() place: Place, @Ctx() ctx: WaybillContext): Promise<void> {
    return confirm(place, ctx);
  }

  @SagaCommand(flights.cancel)
  cancel(@Payload() place: Place, @Ctx() ctx: WaybillContext): Promise<void> {
    return giveBack(place, ctx);
  }
}

@SagaParticipant()
export class Hotels {
  @SagaCommand(hotels.try)
  try(@Payload() place: Place, @Ctx() ctx: WaybillContext): Promise<{ place: number }> {
    return keep(place, ctx);
  }

  @SagaCommand(hotels.confirm)
  confirm(@Payload() place: Place, @Ctx() ctx: WaybillContext): Promise<void> {
    return confirm(place, ctx);
  }

  @SagaCommand(hotels.cancel)
  cancel(@Payload() place: Place, @Ctx() ctx: WaybillContext): Promise<void> {
    return giveBack(place, ctx);
  }
}

@SagaParticipant()
export class Cars {
  @SagaCommand(cars.try)
  try(@Payload() place: Place, @Ctx() ctx: WaybillContext): Promise<{ place: number }> {
    return keep(place, ctx);
  }

  @SagaCommand(cars.confirm)
  confirm(@Payload() place: Place, @Ctx() ctx: WaybillContext): Promise<void> {
    return confirm(place, ctx);
  }

  @SagaCommand(cars.cancel)
  cancel(@Payload() place: Place, @Ctx() ctx: WaybillContext): Promise<void> {
    return giveBack(place, ctx);
  }
}

@Module({
  imports: [WaybillModule.forRoot({ database: { connectionString }, group: 'bookings' })],
  controllers: [Flights, Hotels, Cars],
})
export class BookingsModule {}
