import { Inject } from '@nestjs/common';
import { ConfigurationError } from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';
import { Waybill } from '../instance/waybill.js';
import { DEFAULT_NAME } from '../options/instance-name.js';
import { WAYBILL_SERVICES, type WaybillService } from './waybill-services.js';

/** A class of which each instance of Waybill provides one object: the instance itself or one of its services. */
export type WaybillProvided = typeof Waybill | WaybillService;

const NAMES = new Map<unknown, string>([
  [Waybill, 'instance'],
  ...WAYBILL_SERVICES.map(({ type, name }): [unknown, string] => [type, name]),
]);

/**
 * The injection token of a service of an instance of Waybill: `getWaybillToken(Outbox, 'billing')`. Without a name it
 * is the token of the default instance, which is the class itself.
 *
 * @throws ConfigurationError if Waybill does not provide the class
 */
export function getWaybillToken(type: WaybillProvided, name: string = DEFAULT_NAME): symbol {
  const service = NAMES.get(type);
  if (service !== undefined) return Symbol.for(`waybill.${service}.${name}`);
  const given = typeof type === 'function' ? (type as { readonly name: string }).name : show(type);
  const known = WAYBILL_SERVICES.map((one) => one.type.name).join(', ');
  throw new ConfigurationError('The class cannot be injected', [
    `${given} is not a class that Waybill provides: use Waybill, ${known}`,
  ]);
}

/** Injects a service of an instance of Waybill: `@InjectWaybill(Outbox, 'billing') outbox: Outbox`. */
export function InjectWaybill(type: WaybillProvided, name?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getWaybillToken(type, name));
}
