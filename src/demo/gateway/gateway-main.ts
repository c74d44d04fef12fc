import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { describeFailure } from '../../describe-failure.js';
import { GatewayServer } from './gateway-server.js';

/** Messages from the demo to the gateway's process, by its IPC channel. */
export type GatewayOrder = 'repair' | 'hold' | 'release';

/** Messages from the gateway's process to the demo. */
export type GatewayWord = { readonly url: string } | { readonly held: true };

/** The only argument of the gateway's process, as JSON. */
export interface GatewaySettings {
  readonly broken: readonly string[];
  readonly transfer: readonly string[];
  /** In a separate folder, which is removed when the demo has ended. */
  readonly journalPath: string;
  readonly port: number;
}

/** The gateway in a separate process, which does not outlive the demo. */
async function main(): Promise<void> {
  const settings = JSON.parse(process.argv[2] ?? '') as GatewaySettings;
  const { journalPath, port } = settings;
  const customers = { broken: new Set(settings.broken), transfer: new Set(settings.transfer) };
  const gateway = new GatewayServer(customers, journalPath);
  let release = (): void => {};
  process.on('message', (order: GatewayOrder) => {
    if (order === 'repair') gateway.repair();
    else if (order === 'hold') {
      const released = new Promise<void>((resolve) => (release = resolve));
      gateway.holdNext(() => say({ held: true }), released);
    } else release();
  });
  process.once('disconnect', () => {
    rmSync(dirname(journalPath), { recursive: true, force: true });
    process.exit(1);
  });
  // Ctrl-C goes to the whole group; the demo ends this process when it is no longer needed.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
  say({ url: await gateway.start(port) });
}

function say(word: GatewayWord): void {
  process.send?.(word);
}

main().catch((error: unknown) => {
  process.stderr.write(`${describeFailure(error)}\n`);
  process.exit(1);
});
