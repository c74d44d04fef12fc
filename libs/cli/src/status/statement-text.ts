import { oneLine } from '@waybill/kernel/internal';

/** The most characters that are shown of a statement. */
const MOST = 160;

/**
 * What can stand in a statement: comments, quoted names, strings, strings between dollars, parameters, words, numbers. The
 * server cuts a long statement off, so each may lack its end.
 */
const TOKEN =
  /--[^\n]*|\/\*[^]*?(?:\*\/|$)|"(?:[^"]|"")*(?:"|$)|(?:[bexn]|u&)?'(?:[^']|'')*(?:'|$)|\$(?<tag>[a-z_]\w*)?\$[^]*?(?:\$\k<tag>\$|$)|\$\d+|[a-z_]\w*|\.?\d[\w.]*/giu;

/**
 * A statement as it may be shown: without comments and literals, which may be secret. Where a backslash leaves open where a
 * string ends, the rest is left out.
 */
export function withoutLiterals(sql: string): string {
  const cut = sql.search(/'(?:[^']|'')*\\/u);
  const certain = cut < 0 ? sql : `${sql.slice(0, cut)}…`;
  const text = certain.replaceAll(TOKEN, (token) => {
    if (/^(?:--|\/\*)/.test(token)) return ' ';
    if (token.startsWith('"') || /^\$\d+$/.test(token)) return token;
    return /^[a-z_][^']*$/i.test(token) ? token : '?';
  });
  const shown = oneLine(text.replaceAll(/\s+/gu, ' ').trim());
  return shown.length > MOST ? `${shown.slice(0, MOST)}…` : shown;
}
