import { spawn, spawnSync } from 'node:child_process';

const INSIDE = 'WAYBILL_CHAOS_MOUNTS';

/** Why no file system of a small size can be mounted here; undefined if it can. */
export function mountsUnavailable(): string | undefined {
  if (process.env[INSIDE] !== undefined) return undefined;
  if (process.platform !== 'linux') return 'it needs Linux';
  if (process.getuid?.() !== 0) return 'it needs root, to mount a small disk';
  const { status } = spawnSync('unshare', ['--mount', 'true'], { stdio: 'ignore' });
  return status === 0 ? undefined : 'this machine allows no mount namespace';
}

/**
 * Runs this program again where its mounts are its own: they end with it, however it ends.
 * @returns its exit code; undefined inside
 */
export async function runInMountNamespace(): Promise<number | undefined> {
  if (process.env[INSIDE] !== undefined) return undefined;
  // Signals of the terminal reach both; the parent only waits.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const child = spawn('unshare', ['--mount', process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' },
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

/** Ends {@link mountSmallDisk}; nothing of it is left. */
export function unmount(folder: string): void {
  spawnSync('umount', ['--lazy', folder]);
}

/** Mounts a file system of this size in a folder. */
export function mountSmallDisk(folder: string, megabytes: number): void {
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]);
  if (status !== 0) throw new Error(`the small disk was not mounted: ${String(stderr)}`);
}
