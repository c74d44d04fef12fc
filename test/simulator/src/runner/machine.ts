import type { World, WorldOptions } from '../scheduler/world.js';

/** A running machine. */
export interface MachineRun {
  /** Checks the rules that hold once everything has come to its end. */
  atEnd(): void;
}

/** A part of the product that the simulator can run: its tasks, its faults and its rules. */
export interface Machine {
  /** What it runs, in words. */
  readonly what: string;
  readonly world: WorldOptions;
  /** Its share of all schedules, relative to the other machines': fewer where a schedule takes longer. */
  readonly share: number;
  /** Bugs that can be planted in its model, with what they break. */
  readonly bugs: Readonly<Record<string, string>>;
  /** Sets up the tasks of one run. @param bug the bug planted in its model */
  build(world: World, bug: string | undefined): MachineRun;
}
