import { statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { TestingError } from '../testing-error.js';

const MIB = 1024 * 1024;

/** Chosen by the launcher; another value would make the server unreachable, or reachable by others. */
const RESERVED = ['port', 'listen_addresses', 'unix_socket_directories', 'data_directory', 'hba_file'];

/** @throws TestingError SETTING_RESERVED */
export function refuseReserved(settings: Readonly<Record<string, string>>): void {
  const reserved = Object.keys(settings).filter((name) => RESERVED.includes(name.toLowerCase()));
  if (reserved.length === 0) return;
  throw new TestingError(
    'SETTING_RESERVED',
    `The embedded PostgreSQL chooses ${reserved.join(', ')} itself. Remove it from "settings"; the port is a separate option.`,
  );
}

/**
 * Settings of the server, as `name=value`. Memory and disk are proportional to the machine's.
 * @param overrides win over the defaults
 */
export async function serverSettings(
  folder: string,
  overrides: Readonly<Record<string, string>>,
): Promise<string[]> {
  const disk = await statfs(folder);
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    max_prepared_transactions: '20',
    shared_buffers: `${sharedBuffersMib(usableMemory())}MB`,
    max_wal_size: `${maxWalMib(disk.bavail * disk.bsize)}MB`,
    // The locale of the machine must not decide what tests see.
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...overrides,
  };
  return Object.entries(settings).map(([name, value]) => `${name}=${value}`);
}

/** An eighth of the memory, at most 256 MiB; PostgreSQL reserves it at start and fails if it does not fit. */
export function sharedBuffersMib(memoryBytes: number): number {
  return clamp(Math.floor(memoryBytes / MIB / 8), 16, 256);
}

/** A quarter of the free disk, at most 2 GiB: a full disk stops the server. */
export function maxWalMib(freeBytes: number): number {
  return clamp(Math.floor(freeBytes / MIB / 4), 64, 2_048);
}

function usableMemory(): number {
  // 0 or astronomically large without a limit.
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
