import { v7, validate } from 'uuid';

/** A new id: UUID version 7 (RFC 9562), so that ids sort by the time they were made. */
export function newId(): string {
  return v7();
}

/** Whether `id` is a UUID of any version, in its text form. */
export function isId(id: string): boolean {
  return validate(id);
}
