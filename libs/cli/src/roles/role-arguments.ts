import { isWaybillError } from '@waybill/kernel';
import { type Role } from '@waybill/schema';
import { assertRole } from '@waybill/schema/internal';
import { InvalidArgumentError } from 'commander';

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
