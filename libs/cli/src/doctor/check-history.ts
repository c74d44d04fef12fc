import type { PgDatabase } from '@waybill/kernel';
import { askSource, busIdentity, serviceState } from '@waybill/log/postgres/internal';
import { lostPasses, relayState } from '@waybill/outbox/internal';
import { disagreements, FOREIGN_PASSES, type Trouble } from '../history/hand-over-troubles.js';
import { progressTroubles } from '../history/progress-troubles.js';
import { type Finding, ok, problem, warning } from './finding.js';

const CHECK = 'history';

/** Whether a service's database and its bus agree about the past: one of them may have been restored, or have lost a tail. */
export async function checkHistory(database: PgDatabase, bus: PgDatabase): Promise<Finding> {
  const [service] = await database.session.run(serviceState);
  const [identity] = await bus.session.run(busIdentity);
  const { busId = null, logEpoch = null } = service ?? {};
  if (service === undefined || identity === undefined || busId === null)
    return ok(CHECK, 'the service has had nothing to do with a bus yet');
  if (busId !== identity.busId)
    return problem(
      CHECK,
      `the service is bound to bus ${busId}, and this is bus ${identity.busId}`,
      'Give the address of its bus with --bus-url or WAYBILL_BUS_URL.',
    );
  const isHealing = logEpoch !== null && logEpoch < identity.logEpoch;
  const handOver = await handOverTroubles(database, bus, service.serviceId, isHealing);
  const troubles = [...handOver, ...(await progressTroubles(database, bus, service.serviceId))];
  if (troubles.length > 0) {
    const advice = [...new Set(troubles.map((trouble) => trouble.advice))];
    return problem(CHECK, troubles.map(({ text }) => text).join('; '), advice.join(' '));
  }
  if (isHealing)
    return warning(
      CHECK,
      `the log was healed, and the service's relay has yet to append what it had lost`,
      'Make sure that a relay of the service runs.',
    );
  return ok(CHECK, 'the log and the service agree about what was handed over and handled');
}

async function handOverTroubles(
  database: PgDatabase,
  bus: PgDatabase,
  serviceId: string,
  isHealing: boolean,
): Promise<readonly Trouble[]> {
  // In this order: the service's numbers only grow, and the log's never pass them.
  const [before] = await database.session.run(relayState, 0);
  const [inLog] = await bus.session.run(askSource, serviceId);
  const { n = 0, token = null } = inLog ?? {};
  const [state] = await database.session.run(relayState, n);
  if (before === undefined || state === undefined) return [];
  if (!state.isOfThisCluster) return [FOREIGN_PASSES];
  const { n: newestN, tokensOfN: known } = state;
  if (!isHealing) return disagreements({ n, token }, { confirmedN: before.confirmedN, newestN, known });
  const lost = await lostPasses(database.session, n);
  if (lost === undefined) return [];
  return [
    {
      text: `the log lacks passes from ${lost.from} on, and the outbox has been emptied of rows of them since`,
      advice:
        'They are lost on the bus. See "The bus went back" in docs/OPERATIONS.md: waybill relay reconcile goes on without them.',
    },
  ];
}
