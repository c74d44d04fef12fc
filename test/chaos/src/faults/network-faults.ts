import { type Fault, oneOf } from './fault.js';

/** Connections of a process break, in the middle of whatever they carry. */
export const cut: Fault = {
  durationMs: 500,
  async begin({ processes, random }) {
    const { name, proxy } = oneOf(processes, random);
    proxy.cut();
    return { detail: name, heal: async () => proxy.cut() };
  },
};

/** Connections go silent: nothing arrives, in either direction, and nothing is closed. New ones are silent as well, until it is healed. */
export const silent: Fault = {
  durationMs: 6_000,
  async begin({ processes, random }) {
    const { name, proxy } = oneOf(processes, random);
    proxy.silence();
    return { detail: name, heal: async () => proxy.heal() };
  },
};

/** The server gets everything, and its answers are late. */
export const lateAnswers: Fault = {
  durationMs: 3_000,
  async begin({ processes, random }) {
    const { name, proxy } = oneOf(processes, random);
    proxy.stopAnswers();
    return { detail: name, heal: async () => proxy.letAnswer() };
  },
};

/** COMMITs arrive and are carried out, but their answers never come: the connection breaks. Outcomes are unknown. */
export const unknownCommits: Fault = {
  durationMs: 2_000,
  async begin({ processes, random }) {
    const { name, proxy } = oneOf(processes, random);
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
