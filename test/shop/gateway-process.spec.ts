import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { spawnScript } from '@waybill/testing';

const PROGRAM = fileURLToPath(new URL('../programs/gateway-hold.mjs', import.meta.url));

test('a charge that the gateway held back leaves nothing that the demo would wait for', async () => {
  const script = spawnScript(PROGRAM);
  expect(await script.exited).toEqual({ code: 0, signal: null });
  expect(JSON.parse(script.lines.at(-1) ?? '')).toEqual({ isHeld: true, status: 200, timers: 0 });
});
