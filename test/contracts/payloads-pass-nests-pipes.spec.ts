import 'reflect-metadata';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  Controller,
  type PipeTransform,
  StandardSchemaValidationPipe,
  UsePipes,
  ValidationPipe,
} from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { waitUntil } from '@waybill/testing';
import { Type } from 'class-transformer';
import { IsISO8601, IsPositive, ValidateNested } from 'class-validator';
import { z } from 'zod';
import { Applications } from '../transport/application.js';

class Line {
  @IsPositive()
  pieces!: number;
}

class Order {
  @IsISO8601()
  at!: string;

  @ValidateNested()
  @Type(() => Line)
  line!: Line;
}

const OrderSchema = z.object({
  at: z.iso.datetime(),
  line: z.object({ pieces: z.coerce.number().positive() }),
});

let seen: unknown[];

@Controller()
class ByClass {
  @EventPattern<string>('orders')
  @UsePipes(new ValidationPipe({ transform: true, whitelist: true }))
  handle(@Payload() order: Order): void {
    seen.push(order);
  }
}

@Controller()
class BySchema {
  @EventPattern<string>('orders')
  handle(
    @Payload({ schema: OrderSchema, pipes: [new StandardSchemaValidationPipe() as PipeTransform] })
    order: z.infer<typeof OrderSchema>,
  ): void {
    seen.push(order);
  }
}

let applications: Applications;
beforeEach(async () => {
  seen = [];
  applications = await Applications.create('orders');
});
afterEach(() => applications.close());

test.each([
  ['ValidationPipe, by class-validator', ByClass, 'line.pieces must be a positive number'],
  ['StandardSchemaValidationPipe', BySchema, 'line.pieces'],
])(
  '%s: a payload that it refuses becomes a dead letter at once, with the error of the pipe',
  async (_, controller, words) => {
    const { fixture } = applications;
    const at = new Date(0).toISOString();
    await fixture.transaction(async (client) => {
      for (const pieces of [-1, 2])
        await fixture.outbox.publish(client, {
          topic: 'orders',
          key: 'k',
          payload: { at, line: { pieces }, more: 1 },
        });
    });
    await applications.start('orders', [controller]);
    await waitUntil(() => seen.length === 1, { describe: 'the one that fits is handled' });
    expect(seen).toEqual([{ at, line: { pieces: 2 } }]);
    expect(seen[0] instanceof Order).toBe(controller === ByClass);
    const [letter] = await fixture.deadLetters.list();
    expect(letter).toMatchObject({ reason: 'not-retryable', errorClass: 'BadRequestException', attempts: 1 });
    expect(letter?.errorMessage).toContain(words);
  },
);
