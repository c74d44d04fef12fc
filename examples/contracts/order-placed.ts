import { z } from 'zod';
import type { PayloadInputOf, PayloadOf, TopicSchema } from '@waybill/nestjs';

const Version1 = z.object({ id: z.string(), price: z.string() });

export const OrderPlaced = {
  schema: z.object({
    id: z.string(),
    pence: z.int().positive(),
    currency: z.enum(['GBP', 'EUR']).default('GBP'),
  }),
  version: 2,
  upcasters: {
    // from version 1 to version 2: { price: '9.50' } becomes { pence: 950 }
    1: ({ id, price }: PayloadOf<typeof Version1>) => ({ id, pence: Math.round(Number(price) * 100) }),
  },
} satisfies TopicSchema;

export type PublishedOrder = PayloadInputOf<typeof OrderPlaced>; // currency may be omitted
export type HandledOrder = PayloadOf<typeof OrderPlaced>; // currency is always set
