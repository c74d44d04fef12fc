import { saga, sagaCommand, type SagaDefinition } from '@waybill/saga';

const action = sagaCommand<object, object>('bank.move');
const undoing = sagaCommand<object, void>('bank.move-back');
const POLICY = { timeoutMs: 1_000, delayMs: 100, maxDelayMs: 400, maxAttempts: 3 };

/** The shape of a saga: steps one after the other, or the middle ones side by side. */
export interface SagaShape {
  readonly definition: SagaDefinition;
  readonly steps: readonly string[];
  readonly isParallel: boolean;
  /** Behind it there is no way back. */
  readonly pivot: string | undefined;
}

/** Shapes, the simplest first. A local step runs in the engine's own transaction. */
export const SHAPES: readonly SagaShape[] = [
  shape({ steps: 1 }),
  shape({ steps: 2 }),
  shape({ steps: 3 }),
  shape({ steps: 3, pivot: 1 }),
  shape({ steps: 2, local: 1 }),
  shape({ steps: 3, local: 0, deadlineMs: 2_500 }),
  shape({ steps: 4, isParallel: true }),
  shape({ steps: 4, isParallel: true, deadlineMs: 3_000 }),
];

interface Wish {
  readonly steps: number;
  readonly pivot?: number;
  readonly local?: number;
  readonly isParallel?: boolean;
  readonly deadlineMs?: number;
}

function shape({ steps: count, pivot, local, isParallel = false, deadlineMs }: Wish): SagaShape {
  const builder = saga('transfer', deadlineMs === undefined ? {} : { deadlineMs });
  const steps = Array.from({ length: count }, (_, index) => `s${index}`);
  const command = {
    invoke: action,
    with: () => ({}),
    policy: POLICY,
    undo: { invoke: undoing, with: () => ({}), policy: { ...POLICY, maxAttempts: 4 } },
  };
  const isMiddle = (index: number): boolean => isParallel && index > 0 && index < count - 1;
  steps.forEach((name, index) => {
    if (index === local) builder.local(name, { run: async () => {}, undo: { run: async () => {} } });
    else if (!isMiddle(index)) builder.step(name, { ...command, pivot: index === pivot });
    else if (index === 1)
      builder.parallel((group) => {
        for (const [at, other] of steps.entries()) if (isMiddle(at)) group.step(other, command);
        return group;
      });
  });
  const definition = builder.build() as SagaDefinition;
  return { definition, steps, isParallel, pivot: pivot === undefined ? undefined : `s${pivot}` };
}
