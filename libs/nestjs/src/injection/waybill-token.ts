import { Inject } from '@nestjs/common';
import { ConfigurationError } from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';
import { Waybill } from '../instance/waybill.js';
import { DEFAULT_NAME } from '../options/instance-name.js';
import { WAYBILL_SERVICES, type WaybillService } from './waybill-services.js';

/** A class of which each instance of Waybill provides one object: the instance itself, and what belongs to it. */
export type WaybillProvided = typeof Waybill | WaybillService;

const NAMES = new Map<unknown, string>([
  [Waybill, 'instance'],
  ...WAYBILL_SERVICES.map(({ type, name }): [unknown, string] => [type, name]),
]);

/**
 * The injection token of what an instance of Waybill provides: `getWaybillToken(Outbox, 'billing')`. Without a name it is
 * that of the default instance, whose classes are tokens themselves.
 *
 * @throws ConfigurationError for a class that Waybill does not provide
 */
export function getWaybillToken(type: WaybillProvided, name: string = DEFAULT_NAME): symbol {
  const service = NAMES.get(type);
  if (service !== undefined) return Symbol.for(`waybill.${service}.${name}`);
  const given = typeof type === 'function' ? (type as { readonly name: string }).name : show(type);
  const known = WAYBILL_SERVICES.map((one) => one.type.name).join(', ');
  throw new ConfigurationError('Nothing can be injected', [
    `${given} is not a class that Waybill provides: give Waybill, ${known}`,
  ]);
}

/** Injects what an instance of Waybill provides: `@InjectWaybill(Outbox, 'billing') outbox: Outbox`. */
export function InjectWaybill(type: WaybillProvided, name?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getWaybillToken(type, name));
}
