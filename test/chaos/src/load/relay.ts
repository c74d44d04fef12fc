import { Bell } from '@waybill/kernel';
import { Relay } from '@waybill/outbox';
import { openProgram, type ProgramSettings, settingsOf } from './program.js';

const settings = settingsOf<ProgramSettings>();
let relay: Relay | undefined;
const { database, topics, signals, logger } = openProgram(settings, async () => relay?.service.stop());
relay = new Relay(
  { database, topics, signals, bell: new Bell(), logger },
  { pollMaxMs: 100, leaseMs: 2_000 },
);
relay.service.start();
console.log('ready');
