/** The name of an instance created without one. */
export const DEFAULT_NAME = 'default';

/**
 * Binds a handler to one instance if an application has several, as the second argument of `@EventPattern`.
 * Without it a handler is bound to every instance.
 */
export function waybillTransport(name: string = DEFAULT_NAME): symbol {
  return Symbol.for(`waybill.transport.${name}`);
}
