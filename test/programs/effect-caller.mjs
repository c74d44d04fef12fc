// Does external effects (or, with `undo`, undoes them) for keys `prefix-0` up to `count` in any order, `parallel`
// at a time, each until its outcome is known. Kills itself at the place `dieAt` (attempted, called, recorded), or at
// any place at one key in `dieEvery`. With `waits` it starts at SIGUSR2.
import { once } from 'node:events';
import { EffectRefusedError, isWaybillError, PgDatabase } from '@waybill/kernel';
import { ExternalEffects } from '@waybill/guard';

const {
  url,
  gatewayUrl,
  prefix,
  count = 1,
  parallel = 1,
  dieAt,
  dieEvery = 0,
  undo = false,
  waits = false,
  options = {},
} = JSON.parse(process.argv[2]);
const database = new PgDatabase({ connectionString: url, connectionsMax: parallel + 1 });
const effects = new ExternalEffects(database.session, options);
const PLACES = ['attempted', 'calling', 'called', 'recorded'];

const send = (method, { idempotencyKey, signal }) =>
  fetch(gatewayUrl, { method, signal, headers: { 'idempotency-key': idempotencyKey } });

async function charge(call) {
  const response = await send('POST', call);
  const body = await response.json();
  if (response.status === 402) throw new EffectRefusedError(body.reason);
  if (!response.ok) throw new Error(`the gateway answered ${response.status}`);
  return body;
}

async function query(call) {
  const response = await send('GET', call);
  const body = await response.json();
  if (response.status === 404) return { state: 'not-done' };
  return response.ok ? { state: 'done', outcome: body } : { state: 'unknown' };
}

async function one(key) {
  const any = dieEvery > 0 && Math.random() * dieEvery < 1;
  const place = any ? PLACES[Math.floor(Math.random() * PLACES.length)] : dieAt;
  const at = (here) => {
    if (here === place) process.kill(process.pid, 'SIGKILL');
  };
  const attempt = async (call) => {
    at('attempted');
    if (place === 'calling') setTimeout(() => at('calling'), Math.random() * 4);
    const receipt = await charge(call);
    at('called');
    return receipt;
  };
  for (;;) {
    try {
      const outcome = undo
        ? await effects.undo({ key, query, undo: attempt })
        : await effects.run({ key, attempt, query });
      at('recorded');
      return outcome;
    } catch (error) {
      if (!isWaybillError(error) || !error.retryable) return { failed: error.code ?? String(error) };
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

await database.pool.query('select 1');
const begin = waits ? once(process, 'SIGUSR2') : undefined;
// A signal listener keeps no process alive.
const alive = setInterval(() => {}, 60_000);
console.log('ready');
await begin;
clearInterval(alive);
const keys = Array.from({ length: count }, (_, n) => `${prefix}-${n}`).sort(() => Math.random() - 0.5);
await Promise.all(
  Array.from({ length: parallel }, async () => {
    for (let key = keys.pop(); key !== undefined; key = keys.pop()) {
      console.log(`${key} ${JSON.stringify(await one(key))}`);
    }
  }),
);
console.log('done');
await database.close();
