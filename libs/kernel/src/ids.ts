import { v5, v7, validate } from 'uuid';

const NAMESPACE = 'b1f4cf0e-7f0c-4d55-9a0b-0f1f6a3f6a8e';

/** A new id: UUID version 7 (RFC 9562), so that ids sort by the time they were made. */
export function newId(): string {
  return v7();
}

/** Whether `id` is a UUID of any version, in its text form. */
export function isId(id: string): boolean {
  return validate(id);
}

/** The one id of a name: UUID version 5 (RFC 9562) in a namespace of Waybill's own. */
export function nameBasedId(name: string): string {
  return v5(name, NAMESPACE);
}
