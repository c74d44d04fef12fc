import { v5, v7, validate, version } from 'uuid';

const NAMESPACE = 'b1f4cf0e-7f0c-4d55-9a0b-0f1f6a3f6a8e';

/** A new id: UUID version 7 (RFC 9562), so that ids sort by creation time. */
export function newId(): string {
  return v7();
}

/** Whether `id` is a UUID of any version, in its text form. */
export function isId(id: string): boolean {
  return validate(id);
}

/** The creation time of a UUID of version 7, in milliseconds since 1970; undefined for any other text. */
export function idTimeMs(id: string): number | undefined {
  return validate(id) && version(id) === 7
    ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
    : undefined;
}

/** The id of a name: UUID version 5 (RFC 9562) in Waybill's namespace. */
export function nameBasedId(name: string): string {
  return v5(name, NAMESPACE);
}
