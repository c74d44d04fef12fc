import { TimerService } from '@waybill/timer';
import { openProgram, type ProgramSettings, settingsOf } from './program.js';

interface TimerSettings extends ProgramSettings {
  /** The Redis that is its clock; without it, PostgreSQL is. */
  readonly redis?: string;
}

const settings = settingsOf<TimerSettings>();
let service: TimerService | undefined;
const { database, log, logger } = openProgram(settings, async () => service?.stop());
service = new TimerService({
  database,
  log,
  logger,
  ...(settings.redis === undefined ? {} : { redis: settings.redis }),
});
service.start();
console.log('ready');
