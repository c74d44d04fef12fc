// Turns the .sql files of the libraries into typed modules. libs/*/sql/*.sql become src/statements.generated.ts, which also exports
// src/statements-*.generated.ts, one for each sub-folder of sql; libs/schema/migrations/**/*.sql each become
// src/migrations/**/*.generated.ts, with a list of them. With --check it writes nothing and fails when a generated file is
// stale. Plain Node, so that it runs before anything is built.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { qualifySql } from './qualify-sql.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const check = process.argv.includes('--check');
const stale = [];

const TYPES = {
  integer: 'number',
  smallint: 'number',
  bigint: 'number',
  text: 'string',
  uuid: 'string',
  pg_snapshot: 'string',
  boolean: 'boolean',
  bytea: 'Buffer',
  timestamptz: 'Date',
  jsonb: 'string',
};

function typescriptType(sqlType, word, file) {
  const match = /^([a-z0-9_]+)(\[\])?(\?)?$/.exec(sqlType);
  const base = match && TYPES[match[1]];
  if (!base) throw new Error(`${file}: unknown type ${sqlType} in the header`);
  // A list passed to a bulk insert may contain nulls; one returned by an aggregate here never does.
  const element = word === 'Params' ? `(${base} | null)` : base;
  const type = match[2] ? `readonly ${element}[]` : base;
  return match[3] ? `${type} | null` : type;
}

/**
 * Reads "name type, name type" after `-- Params:` or `-- Returns:`. The list may continue in lines that begin "--   ".
 */
function headerList(sql, word, file) {
  const lines = sql.split('\n');
  const start = lines.findIndex((line) => line.startsWith(`-- ${word}:`));
  if (start < 0) throw new Error(`${file}: its header names no ${word}`);
  let list = lines[start].slice(word.length + 4);
  for (let i = start + 1; lines[i]?.startsWith('--   '); i += 1) list += ` ${lines[i].slice(2)}`;
  return list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '' && item !== 'none')
    .map((item) => {
      const [name, type, ...rest] = item.split(/\s+/);
      if (!type || rest.length > 0) throw new Error(`${file}: cannot read "${item}" after ${word}`);
      return { name, type: typescriptType(type, word, file) };
    });
}

const camel = (name) => name.replaceAll(/-([a-z0-9])/g, (_, letter) => letter.toUpperCase());
const literal = (sql) =>
  '`' + sql.replaceAll('\\', '\\\\').replaceAll('`', '\\`').replaceAll('${', '\\${') + '`';

/** The lines of a header that its types do not express: all except Params and Returns, and their continuations. */
function docLines(lines) {
  let isTyped = false;
  return lines.filter((line) => {
    if (!line.startsWith('--')) return false;
    if (!line.startsWith('--   ')) isTyped = /^-- (Params|Returns):/.test(line);
    return !isTyped;
  });
}

/** The .sql files of a library, from its sql folder, by the names of their statements. */
function statementFiles(folder) {
  const files = readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.sql'))
    .sort((a, b) => (basename(a) < basename(b) ? -1 : 1));
  const twice = files.find((name, index) => index > 0 && basename(files[index - 1]) === basename(name));
  if (twice) throw new Error(`${String(twice)}: another folder has a statement of this name`);
  return files;
}

function statementOf(folder, name) {
  const lines = readFileSync(join(folder, name), 'utf8').trimEnd().split('\n');
  const params = headerList(lines.join('\n'), 'Params', name);
  const rows = headerList(lines.join('\n'), 'Returns', name);
  const body = qualifySql(
    lines
      .filter((line) => !line.startsWith('--'))
      .join('\n')
      .trim()
      .replace(/;$/, ''),
  );
  const doc = docLines(lines)
    .map((line) => ` *${line.slice(2)}`)
    .join('\n');
  const paramType = `[${params.map((p) => `${p.name}: ${p.type}`).join(', ')}]`;
  const rowType =
    rows.length === 0 ? 'Record<never, never>' : `{ ${rows.map((r) => `${r.name}: ${r.type}`).join('; ')} }`;
  const id = basename(name, '.sql');
  return `\n/**\n${doc}\n */\nexport const ${camel(id)} = statement<${paramType}, ${rowType}>('${id}', ${literal(body)});\n`;
}

const STATEMENT_IMPORT = "import { statement } from '@waybill/kernel/internal';\n";

/** A module for each sub-folder of `sql`, and one for the other statements, which also exports the rest. */
function writeStatements(folder, source) {
  const files = statementFiles(folder);
  const header = (from) => `// Made by scripts/build-sql.mjs from ${from}; do not edit.\n`;
  const statements = (names) => names.map((name) => statementOf(folder, name)).join('');
  const rooms = [...new Set(files.map((name) => dirname(name)))].filter((room) => room !== '.').sort();
  for (const room of rooms) {
    const own = statements(files.filter((name) => dirname(name) === room));
    const file = join(source, `statements-${room}.generated.ts`);
    write(file, `${header(`../sql/${room}`)}${STATEMENT_IMPORT}${own}`);
  }
  const others = statements(files.filter((name) => dirname(name) === '.'));
  const exported = rooms.map((room) => `export * from './statements-${room}.generated.js';\n`).join('');
  const imported = others === '' ? '' : STATEMENT_IMPORT;
  write(join(source, 'statements.generated.ts'), `${header('../sql')}${imported}${exported}${others}`);
}

/** The chain of each part of the schema: its own files, after those that both parts begin with. */
const PARTS = ['service', 'bus'];

const migrationId = (part, name) => camel(`${part}-migration-${name.slice(0, 4)}`);

function migrationModule(part, file) {
  const sql = readFileSync(file, 'utf8');
  const name = basename(file, '.sql');
  const number = Number(name.slice(0, 4));
  const checksum = createHash('sha256').update(sql).digest('hex');
  const breaking = sql.startsWith('--! breaking');
  return `// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.\nimport type { Migration } from '../../migration.js';\n\nexport const ${migrationId(part, name)}: Migration = {\n  number: ${number},\n  name: '${name}',\n  breaking: ${breaking},\n  checksum: '${checksum}',\n  sql: ${literal(sql)},\n};\n`;
}

function migrationList(names) {
  const imports = Object.entries(names).flatMap(([part, list]) =>
    list.map(
      (name) => `import { ${migrationId(part, name)} } from './migrations/${part}/${name}.generated.js';\n`,
    ),
  );
  const chains = PARTS.map((part) => {
    const links = ['common', part].flatMap((from) =>
      names[from].map((name) => `  ${migrationId(from, name)},\n`),
    );
    return `\nexport const ${part.toUpperCase()}_MIGRATIONS: readonly Migration[] = [\n${links.join('')}];\n`;
  });
  return `// Made by scripts/build-sql.mjs from ../migrations; do not edit.\nimport type { Migration } from './migration.js';\n${imports.join('')}${chains.join('')}`;
}

function writeMigrations(folder, source) {
  const names = {};
  for (const part of ['common', ...PARTS]) {
    const files = readdirSync(join(folder, part)).filter((name) => name.endsWith('.sql'));
    names[part] = files.sort().map((file) => basename(file, '.sql'));
    for (const name of names[part])
      write(
        join(source, 'migrations', part, `${name}.generated.ts`),
        migrationModule(part, join(folder, part, `${name}.sql`)),
      );
  }
  write(join(source, 'migrations.generated.ts'), migrationList(names));
}

function write(file, content) {
  if (existsSync(file) && readFileSync(file, 'utf8') === content) return;
  if (check) stale.push(file.slice(root.length + 1));
  else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}

for (const library of readdirSync(join(root, 'libs'))) {
  const sql = join(root, 'libs', library, 'sql');
  const source = join(root, 'libs', library, 'src');
  if (existsSync(sql)) writeStatements(sql, source);
  const migrations = join(root, 'libs', library, 'migrations');
  if (existsSync(migrations)) writeMigrations(migrations, source);
}
if (stale.length > 0) {
  console.error(
    `Stale generated files: ${stale.join(', ')}. Run \`npm run generate:sql\` and commit the result.`,
  );
  process.exit(1);
}
