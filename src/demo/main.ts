import { describeFailure } from '../describe-failure.js';
import { ShopError } from '../shop-error.js';
import { parseDemoOptions, USAGE } from './demo-options.js';
import { demoResult, disagreements, renderReport } from './report/demo-report.js';
import { DemoRun } from './demo-run.js';
import { ProgressLine } from './report/progress-line.js';

const EXIT = { agrees: 0, disagrees: 1, usage: 2, SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;

type Signal = (typeof SIGNALS)[number];

/** Runs the demo; 0 when everything agrees, 1 when not, 2 when it was called incorrectly. */
async function main(): Promise<void> {
  const options = parseDemoOptions(process.argv.slice(2));
  if (options.help) {
    console.log(USAGE);
    return;
  }
  const run = new DemoRun(options, new ProgressLine(process.stderr));
  let interruptedBy: Signal | undefined;
  const interrupt = (signal: Signal): void => {
    interruptedBy ??= signal;
    run.interrupt();
  };
  for (const signal of SIGNALS) process.on(signal, interrupt);
  if (process.connected) process.once('disconnect', () => interrupt('SIGTERM'));
  try {
    const outcome = await run
      .run()
      .catch((error: unknown) => {
        if (interruptedBy === undefined) throw error;
      })
      .finally(() => run.close());
    if (outcome === undefined) {
      process.exitCode = EXIT[interruptedBy ?? 'SIGTERM'];
      return;
    }
    console.log(renderReport(outcome));
    if (options.json) console.log(JSON.stringify(demoResult(outcome)));
    process.exitCode = disagreements(outcome).length === 0 ? EXIT.agrees : EXIT.disagrees;
  } finally {
    process.removeAllListeners('disconnect');
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${describeFailure(error)}\n`);
  const calledWrongly =
    error instanceof ShopError && (error.code === 'DEMO_USAGE' || error.code === 'DEMO_ORDER_FILE');
  process.exitCode = calledWrongly ? EXIT.usage : EXIT.disagrees;
});
