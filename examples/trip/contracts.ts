import { sagaCommand } from '@waybill/nestjs';

export type Trip = { tripId: string; flightNumber: string; hotelName: string; carModel: string };
/** The three commands of each service: to keep a place, to confirm it, to give it back. */
export type Place = { tripId: string; what: string };

function commandsOf(service: string) {
  return {
    try: sagaCommand<Place, { place: number }>(`${service}.try`),
    confirm: sagaCommand<Place>(`${service}.confirm`),
    cancel: sagaCommand<Place>(`${service}.cancel`),
  };
}

export const flights = commandsOf('flights');
export const hotels = commandsOf('hotels');
export const cars = commandsOf('cars');
