/**
 * npm run sbom: writes the bill of materials (CycloneDX, JSON) and the list of licences of everything in
 * package-lock.json, without the network. Fails when a licence is not allowed.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { capture, projectRoot } from './processes.mjs';
import { refusedLicences } from './licences.mjs';
import { npmCli } from './set-up/install.mjs';

const OUT = join(projectRoot, '.waybill', 'sbom');
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));

async function billOfMaterials() {
  const words = [
    'sbom',
    '--sbom-format',
    'cyclonedx',
    '--sbom-type',
    'application',
    '--package-lock-only',
    '--offline',
  ];
  const cli = npmCli();
  const { code, output } = await (cli === undefined
    ? capture('npm', words)
    : capture(process.execPath, [cli, ...words]));
  if (code !== 0) throw new Error(`npm sbom failed: ${output}`);
  const bill = JSON.parse(output.slice(output.indexOf('{')));
  // npm names it after its folder.
  bill.metadata.component.name = readJson(join(projectRoot, 'package.json')).name;
  return bill;
}

/** The licence of an installed package; older packages have a list of objects. */
function installedLicence(path) {
  const manifest = join(projectRoot, path, 'package.json');
  if (!existsSync(manifest)) return undefined;
  const { license, licenses } = readJson(manifest);
  return license?.type ?? license ?? licenses?.map((one) => one.type ?? one).join(' OR ');
}

function packagesOf(lock) {
  return Object.entries(lock.packages)
    .filter(([path, { link }]) => path.includes('node_modules/') && link !== true)
    .map(([path, { version, license, dev = false }]) => ({
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version,
      licence: license ?? installedLicence(path),
      dev,
    }))
    .toSorted((a, b) => a.name.localeCompare(b.name));
}

const packages = packagesOf(readJson(join(projectRoot, 'package-lock.json')));
mkdirSync(OUT, { recursive: true });
writeFileSync(join(OUT, 'bom.cdx.json'), `${JSON.stringify(await billOfMaterials(), undefined, 2)}\n`);
writeFileSync(join(OUT, 'licences.json'), `${JSON.stringify(packages, undefined, 2)}\n`);
process.stdout.write(
  `${packages.length} packages; ${join(OUT, 'bom.cdx.json')} and licences.json were written\n`,
);
const refused = refusedLicences(packages);
for (const sentence of refused) process.stderr.write(`${sentence}\n`);
process.exitCode = refused.length === 0 ? 0 : 1;
