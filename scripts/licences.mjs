/** What the licences of a bill of materials say, and which of them may not stay. */

/** Licences of what is shipped and of what builds it: permissive ones. */
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

/** Packages that were looked at by hand, and why they may stay. */
const EXCEPTIONS = new Map([
  ['caniuse-lite', { licence: 'CC-BY-4.0', why: 'data for building; nothing of it is shipped' }],
  [
    'elkjs',
    { licence: 'EPL-2.0', why: 'a part of a tool of Prisma for development; unchanged, and not shipped' },
  ],
  ['seq-queue', { licence: undefined, why: 'its file LICENSE is that of MIT' }],
]);

/** Whether an SPDX expression leaves a choice that is allowed. Its parts stand alone: none nests AND in OR. */
function isAllowed(expression) {
  return expression
    .replaceAll(/[()]/g, '')
    .split(/\s+or\s+/i)
    .some((choice) => choice.split(/\s+and\s+/i).every((one) => ALLOWED.has(one.trim())));
}

/**
 * @param {{ name: string, version: string, licence: string | undefined }[]} packages
 * @returns {string[]} a sentence for each package whose licence may not stay
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
        'take another package, or look at it and add it to scripts/licences.mjs with the reason',
    );
}
