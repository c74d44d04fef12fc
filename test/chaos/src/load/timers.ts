import { TimerService } from '@waybill/timer';
import { openProgram, type ProgramSettings, settingsOf } from './program.js';

const settings = settingsOf<ProgramSettings>();
let service: TimerService | undefined;
const { database, topics, signals, logger } = openProgram(settings, async () => service?.stop());
service = new TimerService({ database, topics, signals, logger });
service.start();
console.log('ready');
