import { ProgressRetention } from '@waybill/consumer';
import { Bell } from '@waybill/kernel';
import { LogRetention } from '@waybill/log/postgres';
import { OutboxRetention, Relay } from '@waybill/outbox';
import { openProgram, type ProgramSettings, RELAY, settingsOf } from './program.js';

const settings = settingsOf<ProgramSettings>();
let relay: Relay | undefined;
/** The rings turn in seconds here. */
const INTERVAL_MS = 200;
const { database, bus, log, logger } = openProgram(settings, async () => {
  await Promise.all(retention.map(({ service }) => service.stop()));
  await relay?.service.stop();
});
const retention = [
  new OutboxRetention(database, { retentionMs: 1_000, intervalMs: INTERVAL_MS }, logger),
  new LogRetention(bus, { bucketMs: 3_000, intervalMs: INTERVAL_MS }, logger),
  new ProgressRetention(database, { intervalMs: INTERVAL_MS }, logger),
];
relay = new Relay({ database, log, bell: new Bell(), logger }, RELAY);
relay.service.start();
for (const { service } of retention) service.start();
console.log('ready');
