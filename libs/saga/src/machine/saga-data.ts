import { describeError, PayloadNotSerializableError } from '@waybill/kernel';
import { plainJson } from '@waybill/kernel/internal';
import type { SagaData, SagaDefinition } from '../definition/saga-definition.js';

/** The data that a saga is started with. @throws PayloadNotSerializableError for values that JSON would change */
export function dataOf(definition: SagaDefinition, id: string, data: SagaData): SagaData {
  try {
    return jsonOf(data, 'data');
  } catch (error) {
    throw new PayloadNotSerializableError(id, `saga ${definition.type}`, describeError(error), {
      cause: error,
    });
  }
}

/** A value after a round trip through JSON: a saga's data is the same before and after it is stored. */
export function jsonOf<T>(value: T, name?: string, reader?: 'anybody' | 'ourselves'): T {
  return JSON.parse(JSON.stringify(plainJson(value, name, reader))) as T;
}

/** A value as JSON, whatever the topic's codec returned, so that the saga sees the same now and in a replay. */
export function plainOf<T>(value: T): T {
  return value === undefined ? value : jsonOf(value, 'payload', 'ourselves');
}
