import { type BoundStatement, bindStatement } from '@waybill/kernel';
import { cancelTimers, rescheduleTimers, scheduleTimers } from './statements.generated.js';
import type { TimerMessage, TimerTarget } from './timer-message.js';

/** A change of timers in a transaction. Times in milliseconds since the epoch. */
export type TimerCommand =
  | { readonly action: 'schedule'; readonly message: TimerMessage; readonly dueMs: number }
  | ({ readonly action: 'cancel' } & TimerRequest)
  | ({ readonly action: 'reschedule'; readonly dueMs: number } & TimerRequest);

/** Selects timers to change. */
interface TimerRequest {
  readonly target: TimerTarget;
  /** The requesting login: it may change the timers of topics that it may publish to. Null: the session's own. */
  readonly asker: string | null;
}

type Schedule = Extract<TimerCommand, { action: 'schedule' }>;

/** The most messages that one statement schedules. */
const STATEMENT_MESSAGES = 5_000;

/** The statements that execute the commands, in order; consecutive schedule commands share one. */
export function timerStatements(commands: readonly TimerCommand[]): BoundStatement[] {
  const statements: BoundStatement[] = [];
  let run: Schedule[] = [];
  const endRun = (): void => {
    if (run.length > 0) statements.push(scheduleStatement(run));
    run = [];
  };
  for (const command of commands) {
    if (command.action === 'schedule') {
      run.push(command);
      if (run.length === STATEMENT_MESSAGES) endRun();
      continue;
    }
    endRun();
    const { ids, tokens } = targetArrays(command.target);
    statements.push(
      command.action === 'cancel'
        ? bindStatement(cancelTimers, ids, tokens, command.asker)
        : bindStatement(rescheduleTimers, ids, tokens, command.dueMs, null, command.asker),
    );
  }
  endRun();
  return statements;
}

/** The due times in the results of {@link timerStatements}, for an alarm. */
export function armedBy(results: readonly unknown[][]): number[] {
  return (results as { dueMs?: number; moved?: number }[][])
    .flat()
    .flatMap(({ dueMs, moved }) => (dueMs === undefined || moved === 0 ? [] : [dueMs]));
}

/** A target as parameters of the statements. */
export function targetArrays(target: TimerTarget): { ids: string[]; tokens: string[] } {
  return 'id' in target ? { ids: [target.id], tokens: [] } : { ids: [], tokens: [target.token] };
}

function scheduleStatement(run: readonly Schedule[]): BoundStatement {
  return bindStatement(
    scheduleTimers,
    run.map(({ message }) => message.id),
    run.map(({ message }) => message.token),
    run.map(({ message }) => message.topic),
    run.map(({ message }) => message.partition),
    run.map(({ message }) => message.key),
    run.map(({ message }) => message.headers),
    run.map(({ message }) => message.payload),
    run.map(({ dueMs }) => dueMs),
  );
}
