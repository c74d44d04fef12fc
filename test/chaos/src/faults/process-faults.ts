import type { LoadProcess } from '../runner/load-process.js';
import { type Fault, type FaultTargets, oneOf } from './fault.js';

const someProcess = ({ processes, random }: FaultTargets): LoadProcess => oneOf(processes, random);

/** A process dies at once and is started again. */
export const killed: Fault = {
  durationMs: 1_000,
  async begin(targets) {
    const victim = someProcess(targets);
    await victim.kill();
    return { detail: victim.name, heal: () => victim.start() };
  },
};

/** A process stands still for longer than its lease, and goes on as if nothing had happened. */
export const paused: Fault = {
  durationMs: 4_000,
  async begin(targets) {
    const victim = someProcess(targets);
    victim.signal('SIGSTOP');
    return { detail: victim.name, heal: async () => victim.signal('SIGCONT') };
  },
};

/** The event loop of a process is blocked for longer than its lease: its timers and its sockets wait. */
export const blocked: Fault = {
  durationMs: 5_000,
  async begin(targets) {
    const victim = someProcess(targets);
    victim.signal('SIGUSR2');
    return { detail: victim.name, heal: async () => {} };
  },
};

/** A deployment: every process is stopped and started again, one after the other. */
export const rolling: Fault = {
  durationMs: 0,
  async begin({ processes }) {
    return {
      detail: 'all processes',
      heal: async () => {
        for (const one of processes) {
          await one.stop();
          await one.start();
        }
      },
    };
  },
};

const SKEW_MS = 3_600_000;

/** A process runs with a clock that is an hour off, ahead or behind. */
export const wrongClock: Fault = {
  durationMs: 5_000,
  async begin(targets) {
    const victim = someProcess(targets);
    const skewMs = targets.random() < 0.5 ? SKEW_MS : -SKEW_MS;
    await victim.stop();
    await victim.start(skewMs);
    return {
      detail: `${victim.name} by ${skewMs} ms`,
      heal: async () => {
        await victim.stop();
        await victim.start();
      },
    };
  },
};

/** Consumers come and go faster than a group can settle. */
export const rebalances: Fault = {
  durationMs: 0,
  async begin({ processes, random }) {
    const consumers = processes.filter(({ name }) => name.startsWith('consumer'));
    return {
      detail: 'consumers',
      heal: async () => {
        for (let turn = 0; turn < 6; turn += 1) {
          const victim = oneOf(consumers, random);
          await (turn % 2 === 0 ? victim.kill() : victim.stop());
          await victim.start();
        }
      },
    };
  },
};
