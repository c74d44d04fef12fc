import { expect, test } from '@jest/globals';
import type { Evidence } from '../checkers/evidence.js';
import type { Operation } from '../history/operation.js';
import { timelineSvg } from './timeline-svg.js';

test('a run of hours has a timeline, with its faults', () => {
  const position = (atMs: number): Operation => ({
    f: 'position',
    atMs,
    process: 'observer',
    group: 'a',
    partition: 0,
    position: atMs,
    ownerEpoch: 1,
  });
  const fault = (type: 'invoke' | 'ok', atMs: number): Operation => ({
    f: 'fault',
    type,
    atMs,
    process: 'runner',
    name: 'kill',
    stopsNothing: false,
    detail: 'consumer',
  });
  const looks = Array.from({ length: 400_000 }, (_, index) => position(index * 250));
  const history = [looks[0] as Operation, fault('invoke', 170), fault('ok', 175), ...looks.slice(1)];
  const row = { id: 1, group: 'a', n: 1, partition: 0, offset: 0, attempt: 1, delivery: 'a/1', atMs: 5_000 };
  const svg = timelineSvg({ history, ledger: [row], groups: ['a'] } as unknown as Evidence);
  expect(svg).toMatch(/^<svg[^]*<title>kill<\/title>[^]*<\/svg>\n$/);
  expect(svg).not.toContain('NaN');
});
