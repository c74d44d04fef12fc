import type { SchemaPart } from '@waybill/schema';

/** The option `--bus` of commands that are for a service's part otherwise. */
export interface BusOption {
  readonly bus?: true;
}

/** The part of the schema that a command is for. */
export function partOf({ bus }: BusOption): SchemaPart {
  return bus === true ? 'bus' : 'service';
}
