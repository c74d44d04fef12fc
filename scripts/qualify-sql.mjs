// Qualifies PostgreSQL's own functions and catalogs in a statement. A statement runs with the
// search path of the given connection, and an object that another user created in `public` is preferred when its types
// fit better: by its name alone, `unnest(bigint[])` of another role is called instead of `unnest(anyarray)`. Operators
// cannot be treated the same way (`operator(pg_catalog.*)` binds differently from `*`), so they are written with
// operands of exactly their types; test/security/objects-of-others-are-never-called.spec.ts refuses other statements.

/** Syntax that looks like a call. */
const SYNTAX = new Set(
  'any all array cast coalesce exists extract greatest least nullif overlay position row substring trim'.split(
    ' ',
  ),
);

/** Strings, quoted names, and names after a dot stay as they are. */
const TOKEN = /'(?:[^']|'')*'|"[^"]*"|[\w.:]*\.\w+|\b(?:from|join) pg_\w+(?![\w(])|\b[a-z_]\w*\(/g;

export function qualifySql(sql) {
  return sql.replaceAll(TOKEN, (token, at) => {
    if (/^(?:from|join) pg_/.test(token)) return token.replace(' ', ' pg_catalog.');
    if (!/^[a-z_]\w*\($/.test(token)) return token;
    const name = token.slice(0, -1);
    if (SYNTAX.has(name)) return token;
    // With several arguments it is syntax too, always PostgreSQL's, and may not be qualified.
    if (name === 'unnest' && argumentCount(sql, at + token.length) > 1) return token;
    return `pg_catalog.${token}`;
  });
}

function argumentCount(sql, from) {
  let depth = 0;
  let count = 1;
  for (let at = from; at < sql.length; at += 1) {
    const character = sql[at];
    if (character === '(' || character === '[') depth += 1;
    else if (character === ')' || character === ']') depth -= 1;
    else if (character === ',' && depth === 0) count += 1;
    if (depth < 0) break;
  }
  return count;
}
