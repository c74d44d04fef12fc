/**
 * Lets the demo's gateway hold back the response to a charge, as before the kill of payments, and prints what would
 * keep the demo's process alive after that.
 */
import { GatewayProcess } from '../../dist/demo/gateway/gateway-process.js';

const LIMIT_MS = 600_000;

const gateway = await GatewayProcess.open({ broken: new Set(), transfer: new Set() });
const url = await gateway.start();
const held = gateway.holdNextCharge(LIMIT_MS);
const charge = fetch(`${url}/charges`, {
  method: 'POST',
  headers: { 'idempotency-key': 'charge-1' },
  body: JSON.stringify({ invoiceNo: '536365', customerId: null, amountPence: 100 }),
});
const isHeld = await held;
gateway.release();
const { status } = await charge;
await gateway.close();
const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
process.stdout.write(`${JSON.stringify({ isHeld, status, timers })}\n`);
process.exit();
