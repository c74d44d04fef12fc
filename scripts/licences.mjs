/** The licences of a bill of materials, and which of them are not allowed. */

/** Allowed licences of shipped packages and build tools: permissive ones. */
const ALLOWED = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'Python-2.0',
  'Unlicense',
]);

/** Packages that were reviewed manually, and why they are allowed. */
const EXCEPTIONS = new Map([
  ['caniuse-lite', { licence: 'CC-BY-4.0', why: 'build data; none of it is shipped' }],
  ['elkjs', { licence: 'EPL-2.0', why: 'a part of a Prisma development tool; unchanged, and not shipped' }],
  ['seq-queue', { licence: undefined, why: 'its LICENSE file is the MIT licence' }],
]);

/** Whether an SPDX expression contains an allowed choice. Its parts are independent: none nests AND in OR. */
function isAllowed(expression) {
  return expression
    .replaceAll(/[()]/g, '')
    .split(/\s+or\s+/i)
    .some((choice) => choice.split(/\s+and\s+/i).every((one) => ALLOWED.has(one.trim())));
}

/**
 * @param {{ name: string, version: string, licence: string | undefined }[]} packages
 * @returns {string[]} a sentence for each package whose licence is not allowed
 */
export function refusedLicences(packages) {
  return packages
    .filter(({ name, licence }) => {
      const known = EXCEPTIONS.get(name);
      if (known !== undefined && known.licence === licence) return false;
      return licence === undefined || !isAllowed(licence);
    })
    .map(
      ({ name, version, licence }) =>
        `${name}@${version} has ${licence === undefined ? 'no licence' : `the licence ${licence}`}, which is not allowed: ` +
        'use another package, or review it and add it to scripts/licences.mjs with the reason',
    );
}
