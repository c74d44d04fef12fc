import { ConfigurationError } from '@waybill/kernel';

/** The instances of this process, from their creation to their stop. */
export class InstanceRegistry<Instance extends { readonly name: string }> {
  readonly #living = new Set<Instance>();

  /** Lets an instance be found by its name. */
  add(instance: Instance): void {
    this.#living.add(instance);
  }

  /** Lets an instance be found no more. */
  remove(instance: Instance): void {
    this.#living.delete(instance);
  }

  /**
   * The instance of this process that has a name, for what Nest makes without injecting anything.
   * @throws ConfigurationError when there is none, or more than one
   */
  named(name: string): Instance {
    const [found, ...others] = [...this.#living].filter((instance) => instance.name === name);
    if (found !== undefined && others.length === 0) return found;
    const problem =
      found === undefined
        ? `no instance named ${JSON.stringify(name)} lives in this process: import WaybillModule with that name`
        : `${others.length + 1} instances named ${JSON.stringify(name)} live in this process: inject the one that is meant, ` +
          'by ClientsModule.registerAsync and waybillClient(waybill)';
    throw new ConfigurationError('A WaybillClient has nothing to work with', [problem]);
  }
}
