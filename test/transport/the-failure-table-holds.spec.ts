import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawnScript, type TestDatabase, testDatabase } from '@waybill/testing';

const program = fileURLToPath(new URL('../nest-matrix/main.mjs', import.meta.url));

interface Line {
  readonly row: string;
  readonly kind: 'event' | 'request' | 'process';
  readonly holds: boolean;
}

let database: TestDatabase;
beforeEach(async () => {
  database = await testDatabase('matrix');
});
afterEach(() => database.drop());

test.each(['microservice', 'express', 'fastify'])(
  'every failure ends in a retry, a dead letter or a reply, never in a loss: %s',
  async (platform) => {
    const script = spawnScript(program, {
      args: [platform],
      env: { DATABASE_URL: database.connectionString },
    });
    const { code } = await script.exited;
    const lines = script.lines.map((line) => JSON.parse(line) as Line);
    expect(lines.filter(({ holds }) => !holds)).toEqual([]);
    expect({ code, output: code === 0 ? '' : script.output }).toEqual({ code: 0, output: '' });
    const count = (kind: Line['kind']): number => lines.filter((line) => line.kind === kind).length;
    expect({ events: count('event'), requests: count('request') }).toEqual({ events: 43, requests: 38 });
  },
  120_000,
);
