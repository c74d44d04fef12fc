import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { waitUntil } from '@waybill/testing';
import { mountsUnavailable } from '../runner/mount-namespace.js';
import type { Fault } from './fault.js';

const BLOCK = Buffer.alloc(1_024 * 1_024);
const RECOVERY_MS = 10_000;

/** The disk of the server is full: writes fail, and the server may stop for good. Somebody frees space, and starts it if need be. */
export const diskFull: Fault = {
  durationMs: 3_000,
  unavailable: mountsUnavailable,
  async begin({ server, database }) {
    const filler = join(server.current.dataDir, 'filler');
    const megabytes = fill(filler);
    return {
      detail: `${megabytes} MB of filler`,
      heal: async () => {
        rmSync(filler);
        const responds = async (): Promise<boolean> =>
          (await database.pool.query('select pg_current_xact_id()')).rowCount === 1;
        const limits = { describe: 'the server writes again', timeoutMs: RECOVERY_MS, intervalMs: 200 };
        await waitUntil(responds, limits).catch(() => server.current.restart('immediate'));
      },
    };
  },
};

/** Writes a file until no byte is left. @returns its size, in megabytes */
function fill(path: string): number {
  const file = openSync(path, 'w');
  try {
    for (let megabytes = 0; ; megabytes += 1) {
      try {
        writeSync(file, BLOCK);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        return megabytes;
      }
    }
  } finally {
    closeSync(file);
  }
}
