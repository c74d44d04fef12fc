// Writes api/<package>.txt: the names that each package exports, and their kinds. So the public API of a package
// changes only on purpose, and visibly in a review. With --check it writes nothing and fails when a file is stale.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, 'api');
const check = process.argv.includes('--check');

/** Entry points by the name of their file in api/. What only our own packages import, `./internal`, is not public. */
function entryPoints() {
  const found = new Map();
  for (const library of readdirSync(join(root, 'libs'))) {
    const manifest = JSON.parse(readFileSync(join(root, 'libs', library, 'package.json'), 'utf8'));
    for (const [entry, target] of Object.entries(manifest.exports)) {
      if (entry.endsWith('/internal') || typeof target === 'string') continue;
      const source = target.types.replace('./dist/', './src/').replace('.d.ts', '.ts');
      found.set(`${library}${entry.slice(1).replace('/', '-')}`, join(root, 'libs', library, source));
    }
  }
  return found;
}

function kindOf(symbol, checker) {
  const isTypeOnly = symbol.declarations?.some(
    (declaration) =>
      ts.isExportSpecifier(declaration) && (declaration.isTypeOnly || declaration.parent.parent.isTypeOnly),
  );
  if (isTypeOnly) return 'type';
  const { flags } = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  if (flags & ts.SymbolFlags.Class) return 'class';
  if (flags & ts.SymbolFlags.Function) return 'function';
  if (flags & ts.SymbolFlags.Variable) return 'const';
  return 'type';
}

const entries = entryPoints();
const { config } = ts.readConfigFile(join(root, 'tsconfig.layers.json'), (path) =>
  readFileSync(path, 'utf8'),
);
const { options } = ts.parseJsonConfigFileContent({ ...config, files: [...entries.values()] }, ts.sys, root);
const program = ts.createProgram([...entries.values()], options);
const checker = program.getTypeChecker();

const made = new Map();
for (const [name, source] of entries) {
  const module = checker.getSymbolAtLocation(program.getSourceFile(source));
  const lines = checker
    .getExportsOfModule(module)
    .map((symbol) => `${symbol.name} ${kindOf(symbol, checker)}\n`)
    .sort();
  made.set(`${name}.txt`, lines.join(''));
}

mkdirSync(folder, { recursive: true });
const there = readdirSync(folder);
const stale = [
  ...there.filter((file) => !made.has(file)),
  ...[...made].flatMap(([file, text]) =>
    existsSync(join(folder, file)) && readFileSync(join(folder, file), 'utf8') === text ? [] : [file],
  ),
];
if (check && stale.length > 0) {
  process.stderr.write(
    `stale: ${stale.map((file) => `api/${file}`).join(', ')}. Run "npm run generate:api", and check what changes for users.\n`,
  );
  process.exitCode = 1;
}
if (!check) {
  for (const file of there) if (!made.has(file)) rmSync(join(folder, file));
  for (const [file, text] of made) writeFileSync(join(folder, file), text);
}
