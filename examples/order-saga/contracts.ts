import { sagaCommand } from '@waybill/nestjs';

export type Order = { orderId: string; sku: string; pieces: number; pence: number };

export const reserveStock = sagaCommand<{ orderId: string; sku: string; pieces: number }, { shelf: string }>(
  'stock.reserve',
);
export const releaseStock = sagaCommand<{ orderId: string }>('stock.release');
export const chargeCard = sagaCommand<{ orderId: string; pence: number }>('payments.charge');
