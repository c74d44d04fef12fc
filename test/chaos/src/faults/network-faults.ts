import type { TcpProxy } from './tcp-proxy.js';
import { type Fault, type FaultTargets, oneOf } from './fault.js';

/** The way of one process to one of its servers. */
function someWay({ processes, random }: FaultTargets): { readonly name: string; readonly proxy: TcpProxy } {
  const { name, ways } = oneOf(processes, random);
  const { to, proxy } = oneOf(ways, random);
  return { name: `${name} to ${to}`, proxy };
}

/** Connections of a process break between two messages. */
export const cut: Fault = {
  durationMs: 500,
  async begin(targets) {
    const { name, proxy } = someWay(targets);
    proxy.cut();
    return { detail: name, heal: async () => proxy.cut() };
  },
};

const CUT_BYTES = 20_000;

/** Connections of a process break at random bytes, in the middle of what they carry, again and again. */
export const cutAtRandomBytes: Fault = {
  durationMs: 3_000,
  async begin(targets) {
    const { name, proxy } = someWay(targets);
    proxy.cutAfter(() => Math.floor(targets.random() * CUT_BYTES));
    return { detail: name, heal: async () => proxy.letPass() };
  },
};

/** Connections go silent: nothing arrives, in either direction, and nothing is closed. New ones are silent as well, until it is healed. */
export const silent: Fault = {
  durationMs: 6_000,
  async begin(targets) {
    const { name, proxy } = someWay(targets);
    proxy.silence();
    return { detail: name, heal: async () => proxy.heal() };
  },
};

/** The way to one process is a black hole for minutes. The others continue. */
export const blackHole: Fault = {
  durationMs: 120_000,
  isBackground: true,
  stopsNothing: true,
  async begin(targets) {
    const { name, proxy } = someWay(targets);
    proxy.silence();
    return { detail: name, heal: async () => proxy.heal() };
  },
};

const LATENCY_MS = 60;

/** The network of a process is slow. */
export const slow: Fault = {
  durationMs: 5_000,
  async begin(targets) {
    const { name, proxy } = someWay(targets);
    proxy.slowDown(LATENCY_MS);
    return { detail: `${name} by ${LATENCY_MS} ms`, heal: async () => proxy.slowDown(0) };
  },
};

/** The server gets everything, and its answers are late. */
export const lateAnswers: Fault = {
  durationMs: 3_000,
  async begin(targets) {
    const { name, proxy } = someWay(targets);
    proxy.stopAnswers();
    return { detail: name, heal: async () => proxy.letAnswer() };
  },
};

/** COMMITs arrive and are carried out, but their answers never come: the connection breaks. Outcomes are unknown. */
export const unknownCommits: Fault = {
  durationMs: 2_000,
  async begin(targets) {
    const { name, proxy } = someWay(targets);
    let isOver = false;
    const again = async (): Promise<void> => {
      while (!isOver) {
        const held = await proxy.holdWhenSent(['commit', 'COMMIT']);
        await held.deliver();
      }
    };
    void again();
    return {
      detail: name,
      heal: async () => {
        isOver = true;
      },
    };
  },
};
