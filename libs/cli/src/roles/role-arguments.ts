import { isWaybillError } from '@waybill/kernel';
import { nearestName } from '@waybill/kernel/internal';
import { type DatabasePart, type Role } from '@waybill/schema';
import { assertRole } from '@waybill/schema/internal';
import { InvalidArgumentError } from 'commander';

const PARTS: readonly DatabasePart[] = ['whole', 'bus', 'participant'];

/** Reads names separated by commas. */
export function names(value: string): string[] {
  return value
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** Reads roles from the command line. */
export function roles(value: string): Role[] {
  return names(value).map((name) => {
    try {
      assertRole(name);
      return name;
    } catch (error) {
      if (!isWaybillError(error)) throw error;
      throw new InvalidArgumentError(error.message);
    }
  });
}

/** Reads the part of Waybill in a database. */
export function part(value: string): DatabasePart {
  const known = PARTS.find((name) => name === value);
  if (known !== undefined) return known;
  const nearest = nearestName(value, PARTS);
  throw new InvalidArgumentError(
    nearest === undefined ? `must be one of ${PARTS.join(', ')}` : `did you mean ${nearest}?`,
  );
}
