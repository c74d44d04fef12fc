import { MACHINES } from './machines/all-machines.js';
import { parseSimulatorArguments, UsageError } from './runner/arguments.js';
import { runSimulation } from './runner/run-simulation.js';

async function main(args: readonly string[]): Promise<number> {
  const wanted = parseSimulatorArguments(args);
  const { machines, schedules, seed, bug } = wanted;
  console.log(`seed ${seed}, ${schedules} schedules: ${machines.join(', ')}`);
  const result = await runSimulation({
    machines: new Map([...MACHINES].filter(([name]) => machines.includes(name))),
    schedules,
    seed,
    bug,
    print: (line) => console.log(line),
  });
  const { broken, seconds } = result;
  const perSecond = Math.round(result.schedules / seconds);
  console.log(JSON.stringify({ seed, schedules: result.schedules, perSecond, broken }));
  return broken.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof UsageError ? error.message : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
