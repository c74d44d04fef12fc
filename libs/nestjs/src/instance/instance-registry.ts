import { ConfigurationError } from '@waybill/kernel';
import type { Waybill } from './waybill.js';

/** The instances of this process, from their making to their stop. */
const living = new Set<Waybill>();

/** Lets an instance be found by its name. */
export function addInstance(waybill: Waybill): void {
  living.add(waybill);
}

/** Lets an instance be found no more. */
export function removeInstance(waybill: Waybill): void {
  living.delete(waybill);
}

/**
 * The instance of this process that has a name, for what Nest makes without injecting anything.
 * @throws ConfigurationError when there is none, or more than one
 */
export function instanceNamed(name: string): Waybill {
  const [found, ...others] = [...living].filter((waybill) => waybill.name === name);
  if (found !== undefined && others.length === 0) return found;
  const problem =
    found === undefined
      ? `no instance named ${JSON.stringify(name)} lives in this process: import WaybillModule with that name`
      : `${others.length + 1} instances named ${JSON.stringify(name)} live in this process: inject the one that is meant, ` +
        'by ClientsModule.registerAsync and waybillClient(waybill)';
  throw new ConfigurationError('A WaybillClient has nothing to work with', [problem]);
}
