import type { DiscoveryService } from '@nestjs/core';
import { DeadLetters, Redrives } from '@waybill/dead-letter';
import { Erasure } from '@waybill/erasure';
import {
  BarrierParticipant,
  EffectOperations,
  ExternalEffects,
  LeaseGuard,
  MessageIdGuard,
} from '@waybill/guard';
import { HalfMessageOperations, HalfMessages } from '@waybill/half-message';
import { Outbox } from '@waybill/outbox';
import { SagaLockOperations, SagaOperations, Sagas, Tcc } from '@waybill/saga';
import { Recurring, Timers } from '@waybill/timer';
import { WaybillAsyncApi } from '../async-api/waybill-async-api.js';
import { WaybillClient } from '../client/waybill-client.js';
import { RequestGuard } from '../guards/request-guard.js';
import type { Waybill } from '../instance/waybill.js';
import { WaybillHealthIndicator } from '../observability/waybill-health.js';
import { WaybillMetrics } from '../observability/waybill-metrics.js';
import { WaybillServer } from '../server/waybill-server.js';

type Class = abstract new (...args: never[]) => unknown;

/** A class of which each instance of Waybill provides one object. */
interface Service<Type extends Class = Class> {
  readonly type: Type;
  /** Its name in tokens. */
  readonly name: string;
  readonly make: (waybill: Waybill, discovery: DiscoveryService) => InstanceType<Type>;
}

function service<Type extends Class>(type: Type, name: string, make: Service<Type>['make']): Service<Type> {
  return { type, name, make };
}

/** What each instance of Waybill provides. */
export const WAYBILL_SERVICES = [
  service(Outbox, 'outbox', (waybill) => waybill.outbox),
  service(DeadLetters, 'dead-letters', (waybill) => waybill.deadLetters),
  service(Redrives, 'redrives', (waybill) => waybill.redrives),
  service(Erasure, 'erasure', (waybill) => waybill.erasure),
  service(Timers, 'timers', (waybill) => waybill.timers),
  service(Recurring, 'recurring', (waybill) => waybill.recurring),
  service(HalfMessages, 'half-messages', (waybill) => waybill.halves.service),
  service(HalfMessageOperations, 'half-message-operations', (waybill) => waybill.halves.operations),
  service(MessageIdGuard, 'message-id-guard', (waybill) => waybill.guards.messageIdGuard),
  service(LeaseGuard, 'lease-guard', (waybill) => waybill.guards.leases),
  service(RequestGuard, 'request-guard', (waybill) => waybill.guards.requests),
  service(ExternalEffects, 'external-effects', (waybill) => waybill.guards.effects),
  service(EffectOperations, 'effect-operations', (waybill) => waybill.guards.effectOperations),
  service(BarrierParticipant, 'barrier', (waybill) => waybill.guards.barrier),
  service(Sagas, 'sagas', (waybill) => waybill.sagas.sagas),
  service(Tcc, 'tcc', (waybill) => waybill.sagas.tcc),
  service(SagaOperations, 'saga-operations', (waybill) => waybill.sagas.operations),
  service(SagaLockOperations, 'saga-lock-operations', (waybill) => waybill.sagas.lockOperations),
  service(WaybillClient, 'client', (waybill) => new WaybillClient({ ...waybill.options.client, waybill })),
  service(WaybillServer, 'server', (waybill) => new WaybillServer(waybill, waybill.options.server)),
  service(WaybillHealthIndicator, 'health', (waybill) => new WaybillHealthIndicator(waybill)),
  service(WaybillMetrics, 'metrics', (waybill) => new WaybillMetrics(waybill)),
  service(WaybillAsyncApi, 'async-api', (waybill, discovery) => new WaybillAsyncApi(waybill, discovery)),
] as const;

/** A class that `getWaybillToken` and `@InjectWaybill` accept, in addition to `Waybill` itself. */
export type WaybillService = (typeof WAYBILL_SERVICES)[number]['type'];
