import { expect, test } from '@jest/globals';
import { withoutLiterals } from '../src/status/statement-text.js';

test.each([
  [`update card set number = '4111 1111' where id = 42`, 'update card set number = ? where id = ?'],
  [`select $1, "a'b", x1 from t -- it's secret\n where n=-1.5e10`, `select $1, "a'b", x1 from t where n=-?`],
  [`do $$ begin perform 'x'; end $$`, 'do ?'],
  [`select $a$ $$ it's $b$ $a$, 'z'`, 'select ?, ?'],
  [`select U&'d\u0061t', B'1', 'a''b', N'c'`, 'select ?, ?, ?, ?'],
  [`select /* it's 'secret */ 1`, 'select ?'],
  ["insert into t values ('cut off in the midd", 'insert into t values (?'],
  ['select $tag$ cut off', 'select ?'],
  ['select /* cut off', 'select'],
  // With standard_conforming_strings off, a backslash hides the quote after it.
  [`select 'it\\'s a secret', 'more'`, 'select …'],
  [`select 'one', E'two\\'s secret'`, 'select ?, E…'],
  ['', ''],
])('%j is shown as %j', (sql, shown) => {
  expect(withoutLiterals(sql)).toBe(shown);
});

test('a long statement is cut, on one line', () => {
  const shown = withoutLiterals(`select\n${'word, '.repeat(100)}1`);
  expect(shown).toMatch(/^select word, .*…$/);
  expect(shown.length).toBeLessThan(170);
  expect(shown).not.toContain('\n');
});
