import { ConfigurationError } from '@waybill/kernel';

/** The instances of this process, from their creation to their stop. */
export class InstanceRegistry<Instance extends { readonly name: string }> {
  readonly #living = new Set<Instance>();

  /** Registers an instance under its name. */
  add(instance: Instance): void {
    this.#living.add(instance);
  }

  /** Removes an instance. */
  remove(instance: Instance): void {
    this.#living.delete(instance);
  }

  /**
   * The instance of this process with this name, for objects that Nest creates without injection.
   * @throws ConfigurationError if there is none, or more than one
   */
  named(name: string): Instance {
    const [found, ...others] = [...this.#living].filter((instance) => instance.name === name);
    if (found !== undefined && others.length === 0) return found;
    const problem =
      found === undefined
        ? `no instance named ${JSON.stringify(name)} exists in this process: import WaybillModule with that name`
        : `${others.length + 1} instances named ${JSON.stringify(name)} exist in this process: inject the one you mean ` +
          'with ClientsModule.registerAsync and waybillClient(waybill)';
    throw new ConfigurationError('A WaybillClient has no instance of Waybill', [problem]);
  }
}
