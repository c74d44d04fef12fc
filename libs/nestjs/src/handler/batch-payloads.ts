import type { Type } from '@nestjs/common';
import { PipesConsumer } from '@nestjs/core/pipes/pipes-consumer.js';
import { BatchFailure } from '@waybill/consumer';
import { ConfigurationError } from '@waybill/kernel';

const installed = Symbol.for('waybill.pipe-each-payload');

type ApplyPipes = PipesConsumer['applyPipes'];

/** The payloads of batches, and the classes of their elements, as far as their handlers name one. */
const batches = new WeakMap<object, Type | undefined>();

/** The payloads of a batch, as an array whose elements the handler's pipes get one by one. */
export function batchPayloads(payloads: unknown[], type: Type | undefined): unknown[] {
  batches.set(payloads, type);
  return payloads;
}

/**
 * Lets pipes, also global ones, have the payloads of a batch one by one, as they have those of other handlers. What a pipe
 * throws is the failure of that message. Nest offers no other place for it: it applies pipes itself, behind guards and
 * interceptors. Other values pass as before.
 * @throws ConfigurationError for a release of Nest that applies pipes in another way: they would get the array, and a
 *   ValidationPipe would let it pass
 */
export function pipeEachPayload(): void {
  const prototype = PipesConsumer.prototype as { applyPipes?: ApplyPipes; [installed]?: true };
  if (prototype[installed] === true) return;
  const original = prototype.applyPipes;
  if (original === undefined)
    throw new ConfigurationError('Waybill cannot serve batch handlers', [
      'this release of @nestjs/core applies pipes in a way that Waybill does not know: handle one message at a time',
    ]);
  prototype.applyPipes = async function (this: PipesConsumer, value, metadata, pipes) {
    if (!isBatch(value)) return original.call(this, value, metadata, pipes);
    const metatype = batches.get(value);
    return Promise.all(
      value.map(async (payload, index) => {
        try {
          return (await original.call(this, payload, { ...metadata, metatype }, pipes)) as unknown;
        } catch (error) {
          throw new BatchFailure(index, error);
        }
      }),
    );
  };
  prototype[installed] = true;
}

/** Whether these are the payloads of a batch. */
export function isBatch(value: unknown): value is unknown[] {
  return Array.isArray(value) && batches.has(value);
}
