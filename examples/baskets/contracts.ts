import { sagaCommand } from '@waybill/nestjs';

export type Line = { sku: string; pieces: number };
export type Basket = { orderId: string; customer: string; pence: number; lines: Line[] };

export const reserveLine = sagaCommand<{ orderId: string } & Line, { shelf: string }>('warehouse.reserve');
export const releaseLine = sagaCommand<{ orderId: string; sku: string }>('warehouse.release');
export const shipOrder = sagaCommand<{ orderId: string }, { parcel: string }>('warehouse.ship');
